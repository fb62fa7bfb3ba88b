"""Whether schedulers publish what is due, and how far behind they are."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.notifications.filters import OVERDUE
from tidings.ledger.notifications.rows import fit

PAUSED: Final = "SELECT paused FROM dispatching_orders ORDER BY id DESC LIMIT 1"
LAST: Final = "SELECT paused, actor, note, at FROM dispatching_orders ORDER BY id DESC LIMIT 1"
GIVE: Final = """
INSERT INTO dispatching_orders (paused, actor, note)
SELECT $1, $2, $3 WHERE $1 IS DISTINCT FROM coalesce((SELECT paused FROM dispatching_orders ORDER BY id DESC LIMIT 1), false)
RETURNING id
"""
ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('tidings dispatching'))"
WAITING: Final = f"""
SELECT (SELECT min(dispatch_at) FROM notifications WHERE dispatch_at IS NOT NULL) AS next_due,
       (SELECT count(*) FROM notifications WHERE dispatch_at < now() - {OVERDUE} * interval '1 second') AS overdue,
       (SELECT count(*) FROM schedules WHERE next_run_at IS NOT NULL) AS schedules,
       (SELECT min(next_run_at) FROM schedules WHERE next_run_at IS NOT NULL) AS next_run,
       (SELECT count(*) FROM schedules WHERE next_run_at < now() - {OVERDUE} * interval '1 second') AS schedules_overdue,
       now() AS now
"""
"""Without parameters it is planned once for each connection; planning takes longer than reading."""


@dataclass(frozen=True, slots=True)
class DispatchingOrder:
    """An operator's last order."""

    paused: bool
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DispatchingBacklog:
    """What waits for the schedulers."""

    next_due: datetime | None
    """Of notifications; in the past if they are late."""
    overdue: int
    """Notifications due for more than `OVERDUE`."""
    schedules: int
    """Those with a next time."""
    next_run: datetime | None
    schedules_overdue: int
    now: datetime

    @property
    def lag(self) -> float:
        """Seconds by which the notification or schedule that waits longest is late; 0 if none is."""
        times = [moment for moment in (self.next_due, self.next_run) if moment is not None]
        return max(0.0, *((self.now - moment).total_seconds() for moment in times), 0.0)


class Dispatching:
    """Orders to all schedulers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def paused(self) -> bool:
        """Whether nothing is to be published. Raises LedgerUnavailable."""
        async with self._database.connection() as connection:
            paused: bool | None = await connection.fetchval(PAUSED)
        return bool(paused)

    async def last(self) -> DispatchingOrder | None:
        """The last order; None if there never was one. Raises LedgerUnavailable."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(LAST)
        return None if row is None else DispatchingOrder(**dict(row))

    async def order(self, *, paused: bool, actor: str, note: str) -> bool:
        """Pause or resume; False if it is so already. Schedulers follow at once. Raises LedgerUnavailable."""
        async with self._database.transaction() as connection:
            await connection.execute(ALONE)
            changed = await connection.fetchval(GIVE, paused, actor, fit(note)) is not None
            await connection.execute(NOTIFY, DUE)
        return changed

    async def backlog(self) -> DispatchingBacklog:
        """What waits. Raises LedgerUnavailable."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(WAITING)
        assert row is not None  # noqa: S101  # a SELECT without FROM has a row
        return DispatchingBacklog(**dict(row))
