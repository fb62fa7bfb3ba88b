"""Counts of scheduled notifications and open dead letters, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tidings.ledger.database import Database

OVERDUE: Final = 60.0
"""Seconds after which a notification that is due counts as overdue."""

OPEN: Final = """
SELECT coalesce(channel, '') AS channel, reason, count(*) AS count,
       extract(epoch FROM now() - min(dead_lettered_at))::float8 AS oldest
  FROM dead_letters WHERE state = 'open' AND ($1::text IS NULL OR tenant = $1)
 GROUP BY 1, 2
"""
DUE: Final = """
SELECT count(*) AS scheduled, count(*) FILTER (WHERE dispatch_at < now() - $1 * interval '1 second') AS overdue
  FROM notifications WHERE dispatch_at IS NOT NULL AND ($2::text IS NULL OR tenant = $2)
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
    open: Mapping[tuple[str, str], OpenDeadLetters]
    """By channel (empty if unknown) and reason."""


async def count_backlog(database: Database, tenant: str | None = None) -> Backlog:
    """Count what waits; both statements read small partial indexes.

    Args:
        tenant: Of this one only.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    async with database.connection() as connection:
        due = await connection.fetchrow(DUE, OVERDUE, tenant)
        dead_letters = await connection.fetch(OPEN, tenant)
    return Backlog(
        **dict(due or {}),
        open={
            (row["channel"], row["reason"]): OpenDeadLetters(row["count"], row["oldest"])
            for row in dead_letters
        },
    )
