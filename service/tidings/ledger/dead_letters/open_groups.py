"""Groups of open dead letters, counted by rollups: only the oldest and the newest of each group are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from asyncpg import Record

from tidings.delivery.dead_letter import DeadLetterState
from tidings.ledger.database import Connection
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.dead_letters.trends import HOUR, Trend, ceiling, end_of, floor
from tidings.ledger.operators.open_hours import (
    CHANGED,
    CLOSED,
    FIRST,
    LAST,
    UNFOLDED,
    first_hour,
    last_hour,
)
from tidings.ledger.operators.rollups import PLACE

_KEY: Final = ("tenant", "fingerprint")
_OF_ASKED: Final = "($2::text IS NULL OR channel = $2) AND ($3::text IS NULL OR reason = $3)"
_MATCHING: Final = f"""
($1::text IS NULL OR tenant = $1) AND {_OF_ASKED}
           AND ($4::text IS NULL OR starts_with(fingerprint, $4))
"""
_ALL: Final = f"""
SELECT tenant, fingerprint, sum(count) AS count
  FROM (SELECT tenant, fingerprint, count FROM open_dead_letters WHERE {_MATCHING}
         UNION ALL SELECT tenant, fingerprint, change FROM unfolded WHERE {_MATCHING}) AS counts
 GROUP BY 1, 2 HAVING sum(count) > 0
"""
_BY_HOUR: Final = f"""
SELECT tenant, fingerprint, sum(count) AS count, min(hour) AS first, max(hour) + interval '1 hour' AS last,
       (array_agg(closed ORDER BY hour))[1] AS closed
  FROM (SELECT tenant, fingerprint, hour, sum(open) AS count, sum(arrived) - sum(open) AS closed
          FROM (SELECT tenant, fingerprint, hour, open, arrived FROM {{table}} WHERE hour >= $8 AND hour < $9 AND {{category}} AND {_MATCHING}
                 UNION ALL
                SELECT tenant, fingerprint, hour, change, arrived FROM dead_letter_deltas
                 WHERE hour >= $8 AND hour < $9 AND {{category}} AND {_MATCHING}) AS counts
         GROUP BY 1, 2, 3 HAVING sum(open) > 0) AS hours
 GROUP BY 1, 2
"""
_OF_PERIOD: Final = _BY_HOUR.format(table="dead_letter_hours", category="true")
_OF_CATEGORY: Final = _BY_HOUR.format(table="dead_letter_categories", category="category = $10")
_SPANS: Final = f"""
SELECT tenant, fingerprint, {FIRST} AS first, {LAST} + interval '1 hour' AS last, {CLOSED} AS closed
      FROM largest JOIN counted c USING (fingerprint)
      {first_hour("c", _KEY, _OF_ASKED)}
      {last_hour("c", _KEY, _OF_ASKED)}
"""
_COUNTED: Final = "SELECT c.* FROM largest JOIN counted c USING (fingerprint)"
_ONE: Final = f"""
SELECT d.id, d.dead_lettered_at AS at FROM dead_letters d
         WHERE d.state = 'open' AND NOT d.test AND d.fingerprint = s.fingerprint AND coalesce(d.tenant, '') = s.tenant
           AND {_OF_ASKED} AND {{category}}
           AND {{period}}
         ORDER BY d.dead_lettered_at {{direction}} LIMIT 1
"""
_WITHIN: Final = "d.dead_lettered_at >= s.first AND d.dead_lettered_at < {}"
_PERIOD: Final = "d.dead_lettered_at >= $8 AND d.dead_lettered_at < $9"
PASSED_BY: Final = 200
"""Closed dead letters of an hour that are passed by, at most, to find the oldest open one of a group."""
_GROUPS: Final = """
WITH {unfolded}counted AS ({counted}), largest AS (
    SELECT fingerprint, sum(count)::bigint AS dead_letters FROM counted GROUP BY 1
    HAVING $6::bigint IS NULL OR sum(count) < $6 OR (sum(count) = $6 AND fingerprint > $7::text)
     ORDER BY 2 DESC, 1 LIMIT $5
), {changed}spans AS ({spans}), found AS (
    SELECT fingerprint, dead_letters, max(coalesce(newest.at, any_newest.at)) AS last_at,
           (array_agg(coalesce(newest.id, any_newest.id) ORDER BY coalesce(newest.at, any_newest.at) DESC NULLS LAST))[1] AS example,
           min(coalesce(CASE WHEN s.closed <= {passed_by} THEN (SELECT at FROM ({oldest}) AS oldest) END, s.first, (SELECT at FROM ({any_oldest}) AS any_oldest))) AS first_at
      FROM largest JOIN spans s USING (fingerprint)
      LEFT JOIN LATERAL ({newest}) AS newest ON true
      LEFT JOIN LATERAL ({any_newest}) AS any_newest ON true
     GROUP BY 1, 2
)
SELECT found.*, d.channel, d.reason, d.kind, d.code, d.message FROM found JOIN dead_letters d ON d.id = found.example
 ORDER BY found.dead_letters DESC, found.fingerprint
"""
"""A replay closes the oldest first, and leaves each in the index until a vacuum: where many of the first hour are closed, the hour
has to do. A group of which nothing is in its hours is looked for in all: it is listed if it counts any."""


def _groups(
    counted: str,
    spans: str,
    *,
    unfolded: str = "",
    changed: str = "",
    category: str = "true",
    whole: str = "true",
) -> str:
    oldest = _ONE.format(
        direction="ASC", category=category, period=_WITHIN.format("s.first + interval '1 hour'")
    )
    newest = _ONE.format(direction="DESC", category=category, period=_WITHIN.format("s.last"))
    any_newest = _ONE.format(
        direction="DESC", category=category, period=f"newest.id IS NULL AND {whole}"
    )
    any_oldest = _ONE.format(direction="ASC", category=category, period=whole)
    return _GROUPS.format(
        unfolded=unfolded,
        changed=changed,
        counted=counted,
        spans=spans,
        passed_by=PASSED_BY,
        oldest=oldest,
        newest=newest,
        any_newest=any_newest,
        any_oldest=any_oldest,
    )


OPEN: Final = _groups(
    _ALL,
    _SPANS,
    unfolded=f"{UNFOLDED}, ",
    changed=f"{CHANGED.format(those='fingerprint IN (SELECT fingerprint FROM largest)')}, ",
)
"""Deltas that are not folded yet count too, so what is committed is counted."""
OPEN_OF_PERIOD: Final = _groups(_OF_PERIOD, _COUNTED, whole=_PERIOD)
OPEN_OF_CATEGORY: Final = _groups(
    _OF_CATEGORY, _COUNTED, category="d.category = $10", whole=_PERIOD
)
_ARRIVALS: Final = f"""
SELECT fingerprint, {PLACE.format(moment="hour", since="$2", width="$4::float8")} AS place, sum(arrived)::bigint AS count
  FROM (SELECT tenant, fingerprint, hour, arrived FROM {{table}} WHERE hour >= $2 AND hour < $3 AND {{category}}
         UNION ALL
        SELECT tenant, fingerprint, hour, arrived FROM dead_letter_deltas
         WHERE hour >= $2 AND hour < $3 AND arrived > 0 AND {{category}}) AS arrivals
  JOIN unnest($5::text[]) AS listed (fingerprint) USING (fingerprint)
 WHERE $1::text IS NULL OR tenant = $1
 GROUP BY 1, 2
"""
"""A month of many groups has many hours: joined, not each compared with the whole list."""
TREND: Final = _ARRIVALS.format(table="dead_letter_hours", category="true")
TREND_OF_CATEGORY: Final = _ARRIVALS.format(
    table="dead_letter_categories", category="category = $6"
)
EVER: Final = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class GroupPosition:
    """A place in the list of groups, the largest first. Where counts change between two pages, a group may be on both or none."""

    dead_letters: int
    fingerprint: str
    searched_since: datetime | None = None
    """Where the dead letters begin that the list counts: its first page had no time for older ones. None: it counts all."""


def by_rollups(wanted: DeadLetterFilter) -> bool:
    """Whether rollups have all that the filter asks for: they have no tests."""
    others = replace(
        wanted,
        channel=None,
        reason=None,
        category=None,
        fingerprint=None,
        since=None,
        until=None,
        tenant=None,
        test=wanted.test or None,
    )
    return others == DeadLetterFilter(states=(DeadLetterState.OPEN,))


def place_of(after: GroupPosition | None) -> tuple[int | None, str | None]:
    """A position as the statements have it."""
    return (None, None) if after is None else (after.dead_letters, after.fingerprint)


async def open_groups(
    connection: Connection, wanted: DeadLetterFilter, limit: int, after: GroupPosition | None
) -> Sequence[Record]:
    """The largest groups that match a filter of which `by_rollups` is true."""
    reason = wanted.reason and wanted.reason.value
    values = (wanted.tenant, wanted.channel, reason, wanted.fingerprint)
    hours = EVER
    if wanted.since is not None or wanted.until is not None:
        since, until = min(wanted.since or EVER[0], EVER[1]), min(wanted.until or EVER[1], EVER[1])
        hours = floor(since, HOUR), ceiling(until, HOUR)
    page = (limit, *place_of(after))
    if wanted.category:
        return await connection.fetch(OPEN_OF_CATEGORY, *values, *page, *hours, wanted.category)
    if hours is EVER:
        return await connection.fetch(OPEN, *values, *page)
    return await connection.fetch(OPEN_OF_PERIOD, *values, *page, *hours)


async def arrivals(
    connection: Connection, wanted: DeadLetterFilter, period: Trend, groups: Sequence[Record]
) -> Sequence[Record]:
    """How many dead letters of these groups came in each bucket of a trend, whatever became of them."""
    names, until = [row["fingerprint"] for row in groups], end_of(period)
    values = (wanted.tenant, period.since, until, period.bucket_seconds, names)
    if wanted.category:
        return await connection.fetch(TREND_OF_CATEGORY, *values, wanted.category)
    return await connection.fetch(TREND, *values)
