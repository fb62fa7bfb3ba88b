"""Counts of scheduled notifications and open dead letters, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.notifications.filters import OVERDUE
from tidings.ledger.operators.open_hours import CHANGED, CLOSED, FIRST, UNFOLDED, first_hour

PASSED_BY: Final = 2_000
"""Closed dead letters of an hour that are passed by, at most, to find the oldest open one of a channel and reason."""
_OLDEST: Final = """
SELECT d.dead_lettered_at FROM dead_letters d
                WHERE d.state = 'open' AND NOT d.test AND {channel} AND d.reason = f.reason
                  AND d.dead_lettered_at >= coalesce(f.first, '-infinity')
                  AND d.dead_lettered_at < coalesce(f.first + interval '1 hour', 'infinity')
                ORDER BY d.dead_lettered_at LIMIT 1
""".strip()
OPEN: Final = f"""
WITH {UNFOLDED}, {CHANGED.format(those="true")}, counted AS (
    SELECT channel, reason, sum(count)::bigint AS count
      FROM (SELECT channel, reason, count FROM open_dead_letters UNION ALL SELECT channel, reason, change FROM unfolded) AS counts
     GROUP BY 1, 2 HAVING sum(count) > 0
), faults AS MATERIALIZED (
    SELECT channel, reason, count, {FIRST} AS first
      FROM counted c
      {first_hour("c", ("channel", "reason"))}
), hours AS (
    SELECT h.* FROM (SELECT DISTINCT first FROM faults) AS f, LATERAL (
        SELECT hour, channel, reason, sum(arrived) AS arrived, sum(arrived - open) AS closed, bool_or(arrived < open) AS edited
          FROM (SELECT hour, channel, reason, arrived, open FROM dead_letter_hours WHERE hour = f.first
                 UNION ALL SELECT hour, channel, reason, arrived, change FROM unfolded WHERE hour = f.first) AS counts
         GROUP BY 1, 2, 3) AS h
), passed AS (
    SELECT f.*, CASE WHEN h.edited THEN (SELECT sum(arrived) FROM hours e WHERE (e.hour, e.reason) = (h.hour, h.reason)) ELSE h.closed END AS closed
      FROM faults f LEFT JOIN hours h ON (h.channel, h.reason, h.hour) = (f.channel, f.reason, f.first)
)
SELECT channel, reason, count, coalesce(extract(epoch FROM now() - coalesce(
           CASE WHEN closed > {PASSED_BY} THEN NULL
                WHEN channel = '' THEN ({_OLDEST.format(channel="d.channel IS NULL")})
                ELSE ({_OLDEST.format(channel="d.channel = f.channel")}) END, first))::float8, 0) AS oldest
  FROM passed f
"""
"""Counted by rollups; the oldest is looked for in the first hour from which some are open. A replay closes the oldest first, and
leaves each in the index until a vacuum: where these are many, the hour has to do. An edit to another channel moves what is open, and
not what arrived: then all of the hour and reason count as passed by. If no hour has one, it is looked for in all."""
OPEN_OF_TENANT: Final = f"""
WITH {UNFOLDED}, {CHANGED.format(those="tenant = $1")}, counted AS (
    SELECT tenant, channel, reason, fingerprint, sum(count)::bigint AS count
      FROM (SELECT tenant, channel, reason, fingerprint, count FROM open_dead_letters
             UNION ALL SELECT tenant, channel, reason, fingerprint, change FROM unfolded) AS counts
     WHERE tenant = $1
     GROUP BY 1, 2, 3, 4 HAVING sum(count) > 0
), groups AS (
    SELECT channel, reason, tenant, fingerprint, count, coalesce({FIRST}, '-infinity') AS first,
           coalesce({FIRST} + interval '1 hour', 'infinity') AS until, coalesce({CLOSED}, 0) AS closed
      FROM counted c
      {first_hour("c", ("tenant", "channel", "reason", "fingerprint"))}
), faults AS (
    SELECT channel, reason, sum(count)::bigint AS count, min(first) AS first FROM groups GROUP BY 1, 2
), passed AS (
    SELECT f.channel, f.reason, f.count, f.first, sum(g.closed) AS closed
      FROM faults f LEFT JOIN groups g ON (g.channel, g.reason, g.first) = (f.channel, f.reason, f.first)
     GROUP BY 1, 2, 3, 4
)
SELECT channel, reason, count, coalesce(extract(epoch FROM now() - coalesce(
           CASE WHEN p.closed <= {PASSED_BY} THEN (
               SELECT min(oldest.at) FROM groups g, LATERAL (
                   SELECT d.dead_lettered_at AS at FROM dead_letters d
                    WHERE d.state = 'open' AND NOT d.test AND d.fingerprint = g.fingerprint AND coalesce(d.tenant, '') = g.tenant
                      AND coalesce(d.channel, '') = g.channel AND d.reason = g.reason
                      AND d.dead_lettered_at >= g.first AND d.dead_lettered_at < g.until
                    ORDER BY d.dead_lettered_at LIMIT 1) AS oldest
                WHERE (g.channel, g.reason, g.first) = (p.channel, p.reason, p.first)) END, nullif(p.first, '-infinity')))::float8, 0) AS oldest
  FROM passed p
"""
"""The same by groups, of which a tenant has few."""
OPEN_TESTS: Final = """
SELECT coalesce(channel, '') AS channel, reason, count(*), extract(epoch FROM now() - min(dead_lettered_at))::float8 AS oldest
  FROM dead_letters WHERE test AND state = 'open' AND ($1::text IS NULL OR tenant = $1) GROUP BY 1, 2
"""
"""No rollup counts those of tests: they are few, and have an index."""
DUE: Final = """
SELECT count(*) AS scheduled, count(*) FILTER (WHERE dispatch_at < now() - $1 * interval '1 second') AS overdue,
       extract(epoch FROM now() - min(dispatch_at))::float8 AS oldest_due
  FROM notifications WHERE dispatch_at IS NOT NULL AND ($2::text IS NULL OR tenant = $2)
   AND ($3::boolean IS NULL OR test = $3)
"""


@dataclass(frozen=True, slots=True)
class OpenDeadLetters:
    """Open dead letters of one channel and reason."""

    count: int
    oldest: float
    """Seconds since the first of them was dead-lettered; up to an hour more if more than `PASSED_BY` of its hour are closed."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Scheduled notifications and open dead letters at one moment."""

    scheduled: int
    """Notifications whose time has not come, or which wait to be published again."""
    overdue: int
    """Those due for more than `OVERDUE`."""
    oldest_due: float | None
    """Seconds since the first of them was due; negative if it is yet to be, None if there is none."""
    open: Mapping[tuple[str, str], OpenDeadLetters]
    """By channel (empty if unknown) and reason."""


async def count_backlog(
    database: Database, tenant: str | None = None, *, test: bool | None = None
) -> Backlog:
    """Count what waits: by a small partial index, and by rollups.

    Args:
        tenant: Of this one only.
        test: Of tests, or of what is no test; None: what is scheduled of both, and dead letters of what is no test.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    async with database.connection() as connection:
        due = await connection.fetchrow(DUE, OVERDUE, tenant, test)
        if test:
            dead_letters = await connection.fetch(OPEN_TESTS, tenant)
        elif tenant is not None:
            dead_letters = await connection.fetch(OPEN_OF_TENANT, tenant)
        else:
            dead_letters = await connection.fetch(OPEN)
    return Backlog(
        **dict(due or {}),
        open={
            (row["channel"], row["reason"]): OpenDeadLetters(row["count"], row["oldest"])
            for row in dead_letters
        },
    )
