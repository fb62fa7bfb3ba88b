"""Statistics of a period, from rollups: outcomes, rates, time to delivery; in all, by time, channel and provider."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from tidings.delivery.sink import SINK
from tidings.ledger.database import Connection
from tidings.ledger.notifications.counting import NO_TIME, RETRY_LATER
from tidings.ledger.operators.rates import SUCCEEDED, UNFINISHED, OutcomeTally, Rates
from tidings.ledger.operators.rollups import BEGINNING, PLACE, Window

__all__ = ["Choice", "Rates", "Statistics", "statistics"]

NO_OUTCOME: Final = Rates()

_MATCHING: Final = """
($4::text IS NULL OR tenant = $4) AND ($5::text[] IS NULL OR channel = ANY($5))
           AND ($6::text[] IS NULL OR category = ANY($6)) AND ($7::text[] IS NULL OR provider = ANY($7))
           AND (provider = $8) = $9
"""
STATISTICS: Final = f"""
WITH counted AS (
    SELECT since, channel, provider, outcome, kind, bucket, sum(count) AS count, sum(attempts) AS attempts, sum(first_attempts) AS first_attempts
      FROM outcome_rollups WHERE width = $3 AND since >= $1 AND since < $2 AND {_MATCHING} GROUP BY 1, 2, 3, 4, 5, 6
     UNION ALL
    SELECT {BEGINNING.format(moment="minute", width="$3")}, channel, provider, outcome, kind, bucket, count, attempts, first_attempts
      FROM outcome_deltas WHERE minute >= $1 AND minute < $2 AND {_MATCHING}
)
SELECT since, channel, provider, outcome, kind, coalesce(bucket, {NO_TIME}) AS bucket, sum(count)::bigint AS count,
       sum(attempts)::bigint AS attempts, sum(first_attempts)::bigint AS first_attempts
  FROM counted GROUP BY GROUPING SETS ((since, outcome, bucket), (channel, provider, outcome, bucket), (kind, outcome))
"""
"""Deltas that are not folded yet count too, so what is committed is counted."""
_SUMS: Final = (
    "sum(count)::bigint AS count, sum(attempts)::bigint AS attempts, "
    "sum(first_attempts)::bigint AS first_attempts"
)
_BY_CHANNEL: Final = """
SELECT since, channel, outcome, count, attempts, first_attempts FROM channel_rollups
 WHERE width = $3 AND since >= $1 AND since < $2
   AND ($4::text IS NULL OR tenant = $4) AND ($5::text[] IS NULL OR channel = ANY($5)) AND test = $9
"""
_BY_CHANNEL_OF_SOME: Final = f"""
SELECT since, channel, outcome, count, attempts, first_attempts FROM outcome_rollups
 WHERE width = $3 AND since >= $1 AND since < $2 AND {_MATCHING}
"""
_DETAILED: Final = f"""
SELECT {PLACE.format(moment="since", since="$1", width="$3")} AS place, channel, NULL::text AS category, outcome, {NO_TIME} AS bucket, {_SUMS}
  FROM ({{by_channel}}
         UNION ALL
        SELECT minute, channel, outcome, count, attempts, first_attempts
          FROM outcome_deltas WHERE minute >= $1 AND minute < $2 AND {_MATCHING}) AS counted
 GROUP BY 1, channel, outcome
 UNION ALL
SELECT NULL, NULL, category, outcome, bucket, {_SUMS}
  FROM (SELECT found.* FROM unnest($10::int[], $11::timestamptz[], $12::timestamptz[]) AS part (width, since, until),
               LATERAL (SELECT category, outcome, bucket, {_SUMS} FROM outcome_rollups r
                         WHERE r.width = part.width AND r.since >= part.since AND r.since < part.until AND {_MATCHING}
                         GROUP BY category, outcome, bucket) AS found
         UNION ALL
        SELECT category, outcome, bucket, count, attempts, first_attempts
          FROM outcome_deltas WHERE minute >= $1 AND minute < $2 AND {_MATCHING}) AS counted
 GROUP BY category, outcome, bucket
"""
DETAILED: Final = _DETAILED.format(by_channel=_BY_CHANNEL)
"""By time and channel without percentiles, and by category with them, each from the fewest rows that have it: whole days of the
period, for one, are read from rollups of days."""
DETAILED_OF_SOME: Final = _DETAILED.format(by_channel=_BY_CHANNEL_OF_SOME)
"""The same of some categories or providers, which rollups by channel do not tell apart."""
OF_CHANNELS: Final = f"""
SELECT channel, provider, outcome, bucket, {_SUMS}
  FROM (SELECT found.* FROM unnest($3::int[], $4::timestamptz[], $5::timestamptz[]) AS part (width, since, until),
               LATERAL (SELECT channel, provider, outcome, bucket, {_SUMS} FROM outcome_rollups r
                         WHERE r.width = part.width AND r.since >= part.since AND r.since < part.until AND provider <> $6
                         GROUP BY channel, provider, outcome, bucket) AS found
         UNION ALL
        SELECT channel, provider, outcome, bucket, count, attempts, first_attempts
          FROM outcome_deltas WHERE minute >= $1 AND minute < $2 AND provider <> $6) AS counted
 GROUP BY channel, provider, outcome, bucket
"""
"""By channel and provider with percentiles, from the fewest rows that have it."""
PLANNING: Final = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '32MB'"
"""A plan for any period, and a sort on disk, take twice as long."""
COUNTED_SINCE: Final = f"SELECT min(since) FROM outcome_rollups WHERE width = {24 * 3600}"


@dataclass(frozen=True, slots=True)
class ChannelSeries:
    """Outcomes of one channel by time: a number for each bucket."""

    succeeded: list[int]
    failed: list[int]
    retried: list[int]

    @classmethod
    def of(cls, buckets: int) -> Self:
        """One in which nothing happened."""
        return cls([0] * buckets, [0] * buckets, [0] * buckets)

    def add(self, place: int, outcome: str, count: int, first_attempts: int) -> None:
        """Count an outcome in a bucket, as `Rates` do."""
        if outcome == RETRY_LATER:
            self.retried[place] += first_attempts
        elif outcome in SUCCEEDED:
            self.succeeded[place] += count
        elif outcome not in UNFINISHED:
            self.failed[place] += count


@dataclass(frozen=True, slots=True)
class Statistics:
    """What ended in a period."""

    window: Window
    counted_since: datetime | None
    """The first day of which there are rollups; None if there is none."""
    total: Rates
    channels: Mapping[str, Rates]
    buckets: Sequence[tuple[datetime, Rates]]
    """The rates of each width of the window, in order; those without any outcome too."""
    errors: Mapping[str, int]
    """Failed attempts and ends by the error's class, most first."""
    providers: Mapping[str, Mapping[str, Rates]] = field(default_factory=dict)
    """By channel and the name under which attempts record the provider; unless details are asked for. An attempt counts
    for the provider that it ended with: what a fallback made good is its own success."""
    series: Mapping[str, ChannelSeries] = field(default_factory=dict)
    """By channel; only if details are asked for."""
    categories: Mapping[str, Rates] = field(default_factory=dict)
    """By category; only if details are asked for."""


@dataclass(frozen=True, slots=True)
class ChannelRates:
    """How channels and providers fare in a period; those that had no outcome are left out."""

    window: Window
    channels: Mapping[str, Rates]
    providers: Mapping[str, Mapping[str, Rates]]
    """As `Statistics` has them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is counted; what is None is not restricted."""

    tenant: str | None = None
    channels: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    test: bool = False
    """Tests, in place of what is no test."""


EVERYTHING: Final = Choice()
"""No restriction."""


async def statistics(
    connection: Connection, window: Window, choice: Choice, *, details: bool = False
) -> Statistics:
    """Read the numbers, all of them at one moment.

    Args:
        details: By time and channel and by category; percentiles of the whole and of categories only, and neither errors nor providers.
    """
    lists = (choice.channels, choice.categories, choice.providers)
    some = choice.categories or choice.providers
    detailed = DETAILED_OF_SOME if some else DETAILED
    parts = [list(column) for column in zip(*window.parts(), strict=True)] if details else []
    async with connection.transaction(readonly=True):
        await connection.execute(PLANNING)
        rows = await connection.fetch(
            detailed if details else STATISTICS,
            window.since,
            window.until,
            window.width,
            choice.tenant,
            *(list(values) if values else None for values in lists),
            SINK,
            choice.test,
            *parts,
        )
        first = await connection.fetchval(COUNTED_SINCE)
    return _detailed(window, first, rows) if details else _summed(window, first, rows)


async def channel_rates(connection: Connection, window: Window) -> ChannelRates:
    """Read the rates of channels and providers, tests left out."""
    parts = [list(column) for column in zip(*window.parts(), strict=True)]
    async with connection.transaction(readonly=True):
        await connection.execute(PLANNING)
        rows = await connection.fetch(OF_CHANNELS, window.since, window.until, *parts, SINK)
    by_channel = defaultdict[str, OutcomeTally](OutcomeTally)
    by_provider = defaultdict[str, defaultdict[str, OutcomeTally]](
        lambda: defaultdict(OutcomeTally)
    )
    for channel, provider, *numbers in rows:
        by_channel[channel].add(*numbers)
        if provider:
            by_provider[channel][provider].add(*numbers)
    channels = {name: tally.rates() for name, tally in by_channel.items()}
    return ChannelRates(window, channels, _of_providers(by_provider))


def _summed(window: Window, first: datetime | None, rows: Iterable[Any]) -> Statistics:
    """From rows of `STATISTICS`."""
    by_time, by_channel = (
        defaultdict[datetime, OutcomeTally](OutcomeTally),
        defaultdict[str, OutcomeTally](OutcomeTally),
    )
    by_provider = defaultdict[str, defaultdict[str, OutcomeTally]](
        lambda: defaultdict(OutcomeTally)
    )
    errors: Counter[str] = Counter()
    for since, channel, provider, outcome, kind, bucket, count, attempts, first_attempts in rows:
        if since is not None:
            by_time[since].add(outcome, bucket, count, attempts, first_attempts)
        elif channel is not None:
            by_channel[channel].add(outcome, bucket, count, attempts, first_attempts)
            if provider:
                by_provider[channel][provider].add(outcome, bucket, count, attempts, first_attempts)
        elif kind:
            errors[kind] += count
    return Statistics(
        window,
        first,
        _total(by_channel.values()),
        MappingProxyType({name: by_channel[name].rates() for name in sorted(by_channel)}),
        [(since, _rates(by_time.get(since))) for since in _starts(window)],
        MappingProxyType(dict(errors.most_common())),
        _of_providers(by_provider),
    )


def _detailed(window: Window, first: datetime | None, rows: Iterable[Any]) -> Statistics:
    """From rows of `DETAILED`."""
    starts = _starts(window)
    series = defaultdict[str, ChannelSeries](lambda: ChannelSeries.of(len(starts)))
    by_time, by_channel = (
        defaultdict[int, OutcomeTally](OutcomeTally),
        defaultdict[str, OutcomeTally](OutcomeTally),
    )
    by_category = defaultdict[str, OutcomeTally](OutcomeTally)
    for place, channel, category, outcome, bucket, count, attempts, first_attempts in rows:
        if category is not None:
            by_category[category].add(outcome, bucket, count, attempts, first_attempts)
        else:
            series[channel].add(place, outcome, count, first_attempts)
            by_channel[channel].add(outcome, bucket, count, attempts, first_attempts)
            by_time[place].add(outcome, bucket, count, attempts, first_attempts)
    return Statistics(
        window,
        first,
        _total(by_category.values()),
        {name: by_channel[name].rates() for name in sorted(by_channel)},
        [(since, _rates(by_time.get(place))) for place, since in enumerate(starts)],
        {},
        series={name: series[name] for name in sorted(series)},
        categories={name: by_category[name].rates() for name in sorted(by_category)},
    )


def _of_providers(
    tallies: Mapping[str, Mapping[str, OutcomeTally]],
) -> Mapping[str, Mapping[str, Rates]]:
    return {
        channel: {name: found[name].rates() for name in sorted(found)}
        for channel, found in sorted(tallies.items())
    }


def _total(parts: Iterable[OutcomeTally]) -> Rates:
    total = OutcomeTally()
    for part in parts:
        total.include(part)
    return total.rates()


def _rates(tally: OutcomeTally | None) -> Rates:
    return NO_OUTCOME if tally is None else tally.rates()


def _starts(window: Window) -> Sequence[datetime]:
    count = round((window.until - window.since).total_seconds() / window.width)
    since, width = window.since.astimezone(UTC), timedelta(seconds=window.width)
    return [since + place * width for place in range(count)]
