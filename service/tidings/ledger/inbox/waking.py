"""Snoozes that end, and messages that expire: changes of an inbox that nobody but the clock makes."""

from collections.abc import Sequence
from typing import Final

from tidings.delivery.inbox import InboxChange
from tidings.ledger.database import Connection, Database
from tidings.ledger.inbox.changing import REVISION, Chosen, change
from tidings.ledger.inbox.messages import EMPTIED, SNOOZED, STORED

AT_ONCE: Final = 500
"""Messages in one transaction: deliveries to their users wait for it."""
ONLY_ONE: Final = "SELECT pg_try_advisory_xact_lock(hashtext('tidings: clock of inboxes'))"
"""Of several schedulers one does the work; if it dies, the next one does."""
DELETED: Final = f"deleted_at = statement_timestamp(), {EMPTIED}"

AWAKE: Final = f"{SNOOZED} AND snoozed_until <= statement_timestamp()"
EXPIRED: Final = f"{STORED} AND expires_at <= statement_timestamp()"
WAKE: Final = (AWAKE, "snoozed_until", f"snoozed_until = NULL, position = {REVISION}")
EXPIRE: Final = (EXPIRED, "expires_at", DELETED)
DUE: Final = (
    "SELECT tenant, user_id, id FROM inbox_messages WHERE {condition} ORDER BY {time} LIMIT $1"
)
NEXT: Final = f"""
SELECT extract(epoch FROM least((SELECT min(snoozed_until) FROM inbox_messages WHERE {SNOOZED}),
                                (SELECT min(expires_at) FROM inbox_messages WHERE {STORED} AND expires_at IS NOT NULL))
                          - clock_timestamp())::float8
"""


class InboxClock:
    """Makes the changes that are due. Times are PostgreSQL's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def turn(self, at_once: int = AT_ONCE) -> tuple[Sequence[InboxChange], bool]:
        """Make some of the changes that are due; returns what to announce, and whether there may be more.

        Nothing is done if another process is at it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; nothing is half done.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval(ONLY_ONE):
                return (), False
            for condition, time, assignments in (WAKE, EXPIRE):
                due = await self._due(connection, condition, time, at_once)
                if due:
                    changes = await change(connection, due, condition, assignments)
                    return changes, True
        return (), False

    async def _due(self, connection: Connection, condition: str, time: str, at_once: int) -> Chosen:
        rows = await connection.fetch(DUE.format(condition=condition, time=time), at_once)
        return [(row["tenant"], row["user_id"], row["id"]) for row in rows]

    async def seconds_to_next(self) -> float | None:
        """Seconds until the next change is due; None if there is none. Raises like `turn`."""
        async with self._database.connection() as connection:
            found: float | None = await connection.fetchval(NEXT)
        return found
