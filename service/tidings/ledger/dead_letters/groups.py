"""Groups of dead letters with the same fingerprint: how many, their trend, the oldest and the newest.

Open dead letters are counted by rollups, and only the oldest and the newest of each group are read. Filters that rollups
do not have (a user, an entity, a recipient …) are counted among the dead letters that match.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.search import DeadLetterFilter, where_of

HOUR: Final = 3_600
DAY: Final = 86_400
HOURLY: Final = timedelta(days=2)
"""Trends of longer periods are by day."""
LONGEST: Final = timedelta(days=31)
"""A trend shows the last days of a period that is longer."""

_MATCHING: Final = """
($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR channel = $2) AND ($3::text IS NULL OR reason = $3)
           AND ($4::text IS NULL OR starts_with(fingerprint, $4))
"""
_ALL: Final = f"""
SELECT tenant, fingerprint, count FROM open_dead_letters WHERE {_MATCHING}
 UNION ALL SELECT tenant, fingerprint, change FROM dead_letter_deltas WHERE {_MATCHING}
"""
_OF_PERIOD: Final = f"""
SELECT tenant, fingerprint, open FROM dead_letter_hours WHERE hour >= $5 AND hour < $6 AND {_MATCHING}
 UNION ALL SELECT tenant, fingerprint, change FROM dead_letter_deltas WHERE hour >= $5 AND hour < $6 AND {_MATCHING}
"""
_ONE: Final = """
SELECT d.id, d.dead_lettered_at AS at FROM dead_letters d
         WHERE d.state = 'open' AND NOT d.test AND d.fingerprint = c.fingerprint AND coalesce(d.tenant, '') = c.tenant
           AND d.dead_lettered_at >= $5 AND d.dead_lettered_at < $6
         ORDER BY d.dead_lettered_at {direction} LIMIT 1
"""
_GROUPS: Final = """
WITH counted AS (
    SELECT tenant, fingerprint, sum(count) AS count FROM ({counts}) AS counts (tenant, fingerprint, count)
     GROUP BY 1, 2 HAVING sum(count) > 0
), largest AS (
    SELECT fingerprint, sum(count)::bigint AS dead_letters FROM counted GROUP BY 1
    HAVING $8::bigint IS NULL OR sum(count) < $8 OR (sum(count) = $8 AND fingerprint > $9::text)
     ORDER BY 2 DESC, 1 LIMIT $7
), found AS (
    SELECT fingerprint, dead_letters, min(oldest.at) AS first_at, max(newest.at) AS last_at,
           (array_agg(newest.id ORDER BY newest.at DESC))[1] AS example
      FROM largest JOIN counted c USING (fingerprint),
           LATERAL ({oldest}) AS oldest, LATERAL ({newest}) AS newest
     GROUP BY 1, 2
)
SELECT found.*, d.channel, d.reason, d.kind, d.code, d.message FROM found JOIN dead_letters d ON d.id = found.example
 ORDER BY found.dead_letters DESC, found.fingerprint
"""
_ENDS: Final = {
    "oldest": _ONE.format(direction="ASC"),
    "newest": _ONE.format(direction="DESC"),
}
OPEN: Final = _GROUPS.format(counts=_ALL, **_ENDS)
"""Deltas that are not folded yet count too, so what is committed is counted."""
OPEN_OF_PERIOD: Final = _GROUPS.format(counts=_OF_PERIOD, **_ENDS)
_PLACE: Final = "floor(extract(epoch FROM {moment} - {since})::float8 / {width}::float8)::integer"
"""Which bucket of a trend a moment is in, the first being 0."""
TREND: Final = f"""
SELECT fingerprint, {_PLACE.format(moment="hour", since="$2", width="$4")} AS place, sum(arrived)::bigint AS count
  FROM (SELECT tenant, fingerprint, hour, arrived FROM dead_letter_hours WHERE hour >= $2 AND hour < $3
         UNION ALL SELECT tenant, fingerprint, hour, arrived FROM dead_letter_deltas WHERE hour >= $2 AND hour < $3) AS arrivals
  JOIN unnest($5::text[]) AS listed (fingerprint) USING (fingerprint)
 WHERE $1::text IS NULL OR tenant = $1
 GROUP BY 1, 2
"""
"""A month of many groups has many hours: joined, not each compared with the whole list."""

MATCHING: Final = """
WITH grouped AS (
    SELECT d.fingerprint, count(*) AS dead_letters, min(d.dead_lettered_at) AS first_at, max(d.dead_lettered_at) AS last_at,
           (array_agg(d.id ORDER BY d.dead_lettered_at DESC))[1] AS example
      FROM dead_letters d WHERE {where} GROUP BY d.fingerprint
    HAVING $2::bigint IS NULL OR count(*) < $2 OR (count(*) = $2 AND d.fingerprint > $3::text)
     ORDER BY 2 DESC, 1 LIMIT $1
)
SELECT g.*, d.channel, d.reason, d.kind, d.code, d.message FROM grouped g JOIN dead_letters d ON d.id = g.example
 ORDER BY g.dead_letters DESC, g.fingerprint
"""
TREND_OF_MATCHING: Final = f"""
SELECT d.fingerprint, {_PLACE.format(moment="d.dead_lettered_at", since="$1", width="$3")} AS place, count(*) AS count
  FROM dead_letters d
 WHERE d.dead_lettered_at >= $1 AND d.dead_lettered_at < $2 AND d.fingerprint = ANY($4::text[]) AND {{where}}
 GROUP BY 1, 2
"""

EVER: Final = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No trend ends before: there are no dates as long before the year 1 as a trend is."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How many dead letters came in each hour or day, whatever became of them."""

    since: datetime
    """Where the first bucket begins."""
    bucket_seconds: int
    """3,600 or 86,400; days are those of UTC."""
    counts: tuple[int, ...]
    """One for each bucket, in order."""


@dataclass(frozen=True, slots=True)
class GroupPosition:
    """A place in the list of groups, the largest first. Where counts change between two pages, a group may be on both or none."""

    dead_letters: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters with the same fingerprint."""

    fingerprint: str
    dead_letters: int
    channel: str | None
    reason: Reason
    kind: str
    code: str
    message: str
    """Of the newest."""
    first_at: datetime
    """When the oldest was dead-lettered."""
    last_at: datetime
    """When the newest was."""
    example: UUID
    """The newest."""
    trend: Trend


class DeadLetterGrouping:
    """Reads groups of dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def largest(
        self,
        wanted: DeadLetterFilter,
        limit: int,
        after: GroupPosition | None = None,
        *,
        now: datetime,
    ) -> Sequence[DeadLetterGroup]:
        """The largest groups that match, behind a place in the list.

        A period of open dead letters (`since`, `until`) is counted in whole hours, which it begins and ends with.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        period = _period(wanted, now)
        async with self._database.connection() as connection:
            if by_rollups(wanted):
                rows = await _open(connection, wanted, limit, after)
                trend = await _arrivals(connection, wanted, period, rows)
            else:
                where, values = where_of(wanted, after=3)
                place = _place(after)
                rows = await connection.fetch(MATCHING.format(where=where), limit, *place, *values)
                trend = await _matching(connection, wanted, period, rows)
        arrived = defaultdict[str, list[int]](lambda: list(period.counts))
        for fingerprint, place, count in trend:
            arrived[fingerprint][place] = count
        return [_group(row, period, arrived[row["fingerprint"]]) for row in rows]


def by_rollups(wanted: DeadLetterFilter) -> bool:
    """Whether rollups have all that the filter asks for: they have no tests."""
    others = replace(
        wanted,
        channel=None,
        reason=None,
        fingerprint=None,
        since=None,
        until=None,
        tenant=None,
        test=wanted.test or None,
    )
    return others == DeadLetterFilter(states=(DeadLetterState.OPEN,))


def _place(after: GroupPosition | None) -> tuple[int | None, str | None]:
    return (None, None) if after is None else (after.dead_letters, after.fingerprint)


async def _open(
    connection: Connection, wanted: DeadLetterFilter, limit: int, after: GroupPosition | None
) -> Sequence[Record]:
    reason = wanted.reason and wanted.reason.value
    values = (wanted.tenant, wanted.channel, reason, wanted.fingerprint)
    if wanted.since is None and wanted.until is None:
        return await connection.fetch(OPEN, *values, *EVER, limit, *_place(after))
    since, until = min(wanted.since or EVER[0], EVER[1]), min(wanted.until or EVER[1], EVER[1])
    hours = _floor(since, HOUR), _ceiling(until, HOUR)
    return await connection.fetch(OPEN_OF_PERIOD, *values, *hours, limit, *_place(after))


async def _arrivals(
    connection: Connection, wanted: DeadLetterFilter, period: Trend, groups: Sequence[Record]
) -> Sequence[Record]:
    names, until = [row["fingerprint"] for row in groups], _end(period)
    return await connection.fetch(
        TREND, wanted.tenant, period.since, until, period.bucket_seconds, names
    )


async def _matching(
    connection: Connection, wanted: DeadLetterFilter, period: Trend, groups: Sequence[Record]
) -> Sequence[Record]:
    names = [row["fingerprint"] for row in groups]
    where, values = where_of(replace(wanted, since=None, until=None), after=4)
    statement = TREND_OF_MATCHING.format(where=where)
    return await connection.fetch(
        statement, period.since, _end(period), period.bucket_seconds, names, *values
    )


def _period(wanted: DeadLetterFilter, now: datetime) -> Trend:
    """The buckets of a trend, all empty: of the period asked for, or of the last day, by hour or by day."""
    until = max(min(wanted.until or now, now), EARLIEST)
    since = min(wanted.since or until - timedelta(seconds=DAY), until)
    since = max(since, until - LONGEST)
    width = HOUR if until - since <= HOURLY else DAY
    first, end = _floor(since, width), _ceiling(until, width)
    count = round((end - first).total_seconds() / width)
    return Trend(first, width, (0,) * max(1, count))


def _end(period: Trend) -> datetime:
    return period.since + timedelta(seconds=len(period.counts) * period.bucket_seconds)


def _floor(moment: datetime, width: int) -> datetime:
    return _whole(moment.timestamp() // width * width)


def _ceiling(moment: datetime, width: int) -> datetime:
    return _whole(-(-moment.timestamp() // width) * width)


def _whole(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _group(row: Record, period: Trend, arrived: Sequence[int]) -> DeadLetterGroup:
    values: dict[str, Any] = {**dict(row), "reason": Reason(row["reason"])}
    trend = Trend(period.since, period.bucket_seconds, tuple(arrived))
    return DeadLetterGroup(**values, trend=trend)
