"""Counts of scheduled notifications and open dead letters, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.notifications.filters import OVERDUE
from tidings.ledger.operators.open_hours import CHANGED, CLOSED, FIRST, UNFOLDED, first_hour

PASSED_BY: Final = 2_000
"""Closed dead letters of an hour that are passed by, at most, to find the oldest open one of a channel and reason."""
OPEN: Final = f"""
WITH {UNFOLDED}, {CHANGED.format(those="true")}, counted AS (
    SELECT tenant, channel, reason, fingerprint, sum(count)::bigint AS count
      FROM (SELECT tenant, channel, reason, fingerprint, count FROM open_dead_letters
             UNION ALL SELECT tenant, channel, reason, fingerprint, change FROM unfolded) AS counts
     WHERE $1::text IS NULL OR tenant = $1
     GROUP BY 1, 2, 3, 4 HAVING sum(count) > 0
), groups AS (
    SELECT channel, reason, tenant, fingerprint, count, {FIRST} AS first, {CLOSED} AS closed
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
                      AND d.dead_lettered_at >= g.first AND d.dead_lettered_at < g.first + interval '1 hour'
                    ORDER BY d.dead_lettered_at LIMIT 1) AS oldest
                WHERE (g.channel, g.reason, g.first) = (p.channel, p.reason, p.first)) END, p.first))::float8, 0) AS oldest
  FROM passed p
"""
"""Counted by rollups; the oldest is looked for in the first hour from which some are open. A replay closes the oldest first, and
leaves each in the index until a vacuum: where these are many, the hour has to do."""
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
        dead_letters = await connection.fetch(OPEN_TESTS if test else OPEN, tenant)
    return Backlog(
        **dict(due or {}),
        open={
            (row["channel"], row["reason"]): OpenDeadLetters(row["count"], row["oldest"])
            for row in dead_letters
        },
    )
