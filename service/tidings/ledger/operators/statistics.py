"""Statistics of a period, from rollups: outcomes, rates, time to delivery; in all, by time, channel and provider."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from tidings.delivery.outcome import Reason
from tidings.delivery.sink import SINK
from tidings.delivery.states import State
from tidings.ledger.database import Connection
from tidings.ledger.notifications.counting import NO_TIME, RETRY_LATER
from tidings.ledger.operators.rollups import BEGINNING, Window

SUCCEEDED: Final = frozenset({State.SENT.value, Reason.COPIES_REFUSED.value})
WITHDRAWN: Final = frozenset({State.CANCELLED.value, State.SUPPRESSED.value})
"""Ended on purpose: neither a success nor a failure."""

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
SELECT since, channel, NULL::text AS category, outcome, NULL::text AS kind, {NO_TIME} AS bucket, {_SUMS}
  FROM ({{by_channel}}
         UNION ALL
        SELECT {BEGINNING.format(moment="minute", width="$3")}, channel, outcome, count, attempts, first_attempts
          FROM outcome_deltas WHERE minute >= $1 AND minute < $2 AND {_MATCHING}) AS counted
 GROUP BY since, channel, outcome
 UNION ALL
SELECT NULL, NULL, category, outcome, NULL, bucket, {_SUMS}
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
PLANNING: Final = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL work_mem = '32MB'"
"""A plan for any period, and a sort on disk, take twice as long."""
COUNTED_SINCE: Final = f"SELECT min(since) FROM outcome_rollups WHERE width = {24 * 3600}"


@dataclass(frozen=True, slots=True)
class Rates:
    """Outcomes of a period. A rate is None if there is nothing to divide by."""

    attempted: int = 0
    """Notifications whose first attempt ended, of each epoch."""
    attempts: int = 0
    """Attempts that ended, in which a provider was called."""
    retried: int = 0
    """Of those attempted, those whose first attempt has to be followed by another one."""
    finished: int = 0
    """Ended, but not cancelled or suppressed."""
    succeeded: int = 0
    failed: int = 0
    """Ended otherwise: rejected, exhausted, expired, unknown …"""
    p50: float | None = None
    """Seconds from accepted, or due, to sent: half are faster. What was replayed is left out, for it waited for a person."""
    p95: float | None = None
    p99: float | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Attempts and ends by outcome."""

    @property
    def success_rate(self) -> float | None:
        """Share that succeeded of those that ended."""
        return self.succeeded / self.finished if self.finished else None

    @property
    def attempt_success_rate(self) -> float | None:
        """Share of the attempts that delivered: what a provider did, whatever became of the others later."""
        return self.succeeded / self.attempts if self.attempts else None

    @property
    def failure_rate(self) -> float | None:
        """Share that did not succeed of those that ended."""
        return self.failed / self.finished if self.finished else None

    @property
    def retry_rate(self) -> float | None:
        """Share of those attempted that needed more than one attempt."""
        return self.retried / self.attempted if self.attempted else None

    @property
    def attempts_each(self) -> float | None:
        """Attempts for each notification that was attempted."""
        return self.attempts / self.attempted if self.attempted else None


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
    series: Mapping[str, Sequence[Rates]] = field(default_factory=dict)
    """By channel, the rates of each bucket, without percentiles; only if details are asked for."""
    categories: Mapping[str, Rates] = field(default_factory=dict)
    """By category; only if details are asked for."""


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


def _summed(window: Window, first: datetime | None, rows: Iterable[Any]) -> Statistics:
    """From rows of `STATISTICS`."""
    by_time, by_channel = defaultdict[datetime, list[Any]](list), defaultdict[str, list[Any]](list)
    by_provider = defaultdict[str, defaultdict[str, list[Any]]](lambda: defaultdict(list))
    errors: Counter[str] = Counter()
    for row in rows:
        if row["since"] is not None:
            by_time[row["since"]].append(row)
        elif row["channel"] is not None:
            by_channel[row["channel"]].append(row)
            if row["provider"]:
                by_provider[row["channel"]][row["provider"]].append(row)
        elif row["kind"]:
            errors[row["kind"]] += row["count"]
    return Statistics(
        window,
        first,
        rates(row for found in by_channel.values() for row in found),
        MappingProxyType({name: rates(by_channel[name]) for name in sorted(by_channel)}),
        [(since, rates(by_time.get(since, ()))) for since in _starts(window)],
        MappingProxyType(dict(errors.most_common())),
        {
            channel: {name: rates(found[name]) for name in sorted(found)}
            for channel, found in sorted(by_provider.items())
        },
    )


def _detailed(window: Window, first: datetime | None, rows: Iterable[Any]) -> Statistics:
    """From rows of `DETAILED`."""
    by_channel = defaultdict[str, defaultdict[datetime, list[Any]]](lambda: defaultdict(list))
    by_time, by_category = defaultdict[datetime, list[Any]](list), defaultdict[str, list[Any]](list)
    for row in rows:
        if row["category"] is not None:
            by_category[row["category"]].append(row)
        else:
            by_channel[row["channel"]][row["since"]].append(row)
            by_time[row["since"]].append(row)
    starts = _starts(window)
    return Statistics(
        window,
        first,
        rates(row for found in by_category.values() for row in found),
        {
            name: rates(row for found in by_channel[name].values() for row in found)
            for name in sorted(by_channel)
        },
        [(since, rates(by_time.get(since, ()))) for since in starts],
        {},
        series={
            name: [rates(by_channel[name].get(since, ())) for since in starts]
            for name in sorted(by_channel)
        },
        categories={name: rates(by_category[name]) for name in sorted(by_category)},
    )


def _starts(window: Window) -> Sequence[datetime]:
    count = round((window.until - window.since).total_seconds() / window.width)
    return [
        (window.since + timedelta(seconds=place * window.width)).astimezone(UTC)
        for place in range(count)
    ]


def rates(rows: Iterable[Mapping[str, Any]]) -> Rates:
    """Add up rows of `STATISTICS`."""
    outcomes: Counter[str] = Counter()
    times: Counter[int] = Counter()
    attempts = attempted = retried = 0
    for row in rows:
        outcomes[row["outcome"]] += row["count"]
        attempts += row["attempts"]
        attempted += row["first_attempts"]
        if row["outcome"] == RETRY_LATER:
            retried += row["first_attempts"]
        if row["bucket"] != NO_TIME:
            times[row["bucket"]] += row["count"]
    ended = {name: n for name, n in outcomes.items() if name not in {RETRY_LATER, *WITHDRAWN}}
    succeeded = sum(n for name, n in ended.items() if name in SUCCEEDED)
    finished = sum(ended.values())
    return Rates(
        attempted,
        attempts,
        retried,
        finished,
        succeeded,
        finished - succeeded,
        percentile(times, 0.5),
        percentile(times, 0.95),
        percentile(times, 0.99),
        MappingProxyType(dict(sorted(outcomes.items()))),
    )


def percentile(times: Mapping[int, int], share: float) -> float | None:
    """Seconds within which this share of them lies, from a histogram by `tidings_bucket`: wrong by a fifth at most.

    Within a bucket, values are taken to be spread evenly on a logarithmic scale.
    """
    total = sum(times.values())
    if not total:
        return None
    rank, below = share * total, 0
    for bucket in sorted(times):
        if below + times[bucket] >= rank:
            inside = (rank - below) / times[bucket]
            return float(2 ** ((bucket - 1 + inside) / 2)) / 1000
        below += times[bucket]
    raise AssertionError("a share is at most 1")
