"""Counts of scheduled notifications and open dead letters, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.notifications.filters import OVERDUE

OPEN: Final = """
WITH groups AS (
    SELECT channel, reason, sum(count)::bigint AS count
      FROM (SELECT tenant, channel, reason, count FROM open_dead_letters
             UNION ALL SELECT tenant, channel, reason, change FROM dead_letter_deltas) AS counted
     WHERE $1::text IS NULL OR tenant = $1
     GROUP BY channel, reason HAVING sum(count) > 0
)
SELECT channel, reason, count, coalesce(extract(epoch FROM now() - oldest.at)::float8, 0) AS oldest
  FROM groups g LEFT JOIN LATERAL (
    (SELECT d.dead_lettered_at AS at FROM dead_letters d
      WHERE d.state = 'open' AND NOT d.test AND d.channel = g.channel AND d.reason = g.reason AND ($1::text IS NULL OR d.tenant = $1)
      ORDER BY d.dead_lettered_at LIMIT 1)
     UNION ALL
    (SELECT d.dead_lettered_at FROM dead_letters d
      WHERE g.channel = '' AND d.state = 'open' AND NOT d.test AND d.channel IS NULL AND d.reason = g.reason AND ($1::text IS NULL OR d.tenant = $1)
      ORDER BY d.dead_lettered_at LIMIT 1)) AS oldest ON true
"""
"""Counted by rollups; the oldest is the first in the index of open dead letters by channel and reason."""
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
    """Seconds since the first of them was archived."""


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
