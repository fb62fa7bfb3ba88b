"""Retention of inboxes: messages become tombstones after their time, and tombstones go after a week."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.delivery.inbox import InboxChange
from tidings.ledger.database import Database
from tidings.ledger.inbox.changing import Chosen, change
from tidings.ledger.inbox.messages import EMPTIED, STORED

AT_ONCE: Final = 500
"""Messages in one transaction."""
LONGEST: Final = 600.0
"""Seconds that looking through all messages may take."""
NEVER: Final = 1e11
"""Seconds of what is kept for ever."""

SETTLED: Final = "(read_at IS NOT NULL OR archived_at IS NOT NULL)"
OVER: Final = (
    f"{STORED} AND snoozed_until IS NULL AND created_at < statement_timestamp()"
    f" - CASE WHEN {SETTLED} THEN {{read}} ELSE {{unread}} END * interval '1 second'"
)
"""What is snoozed is kept until its snooze has ended."""
CHOOSE: Final = f"""
SELECT tenant, user_id, id FROM inbox_messages
 WHERE created_at < statement_timestamp() - $1::float8 * interval '1 second' AND {{over}} LIMIT {AT_ONCE}
"""
COUNT: Final = """
SELECT count(*) AS stored, count(*) FILTER (WHERE {over}) AS over,
       count(*) FILTER (WHERE deleted_at < now() - interval '7 days') AS purged
  FROM inbox_messages
"""
PURGE: Final = "SELECT tidings_purge_inboxes($1)"
DELETED: Final = f"deleted_at = statement_timestamp(), {EMPTIED}"
OF_PERSON: Final = f"""
SELECT tenant, user_id, id FROM inbox_messages
 WHERE (user_id = ANY($1::text[]) OR id = ANY($2::uuid[])) AND ($3::text IS NULL OR tenant = $3) AND {STORED} LIMIT {AT_ONCE}
"""
COUNT_OF_PERSON: Final = OF_PERSON.replace("SELECT tenant, user_id, id", "SELECT count(*)").replace(
    f" LIMIT {AT_ONCE}", ""
)


@dataclass(frozen=True, slots=True)
class InboxPeriods:
    """For how many seconds messages are kept, from when they came; 0: for ever."""

    read: float
    """Of those that were read or archived."""
    unread: float

    @property
    def shortest(self) -> float:
        """The shorter of the two; `NEVER` if both are for ever."""
        return min(self.read or NEVER, self.unread or NEVER)

    @property
    def over(self) -> str:
        """The SQL condition of a message that is past its time."""
        return OVER.format(read=float(self.read or NEVER), unread=float(self.unread or NEVER))


@dataclass(frozen=True, slots=True)
class InboxesCount:
    """Messages of all inboxes."""

    stored: int
    """Tombstones included."""
    over: int
    """Those that a round would empty."""
    purged: int
    """Tombstones that it would delete."""


@dataclass(frozen=True, slots=True)
class PurgingStep:
    """A part of a round."""

    emptied: int
    """Messages that became tombstones."""
    purged: int
    """Tombstones that were deleted."""
    changes: Sequence[InboxChange]
    """What is to be announced."""


class InboxPurging:
    """Deletes messages past their time, and those of a person."""

    def __init__(self, database: Database, periods: InboxPeriods) -> None:
        self._database = database
        self.periods = periods

    async def run(self) -> AsyncIterator[PurgingStep]:
        """One round, in steps of at most `AT_ONCE` messages, each committed by itself. Any number of processes may.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
            ConfigurationError: Our user may not; says who may.
        """
        over = self.periods.over
        choose = CHOOSE.format(over=over)
        while True:
            async with self._database.transaction() as connection:
                chosen = _chosen(await connection.fetch(choose, self.periods.shortest))
                changes = await change(connection, chosen, over, DELETED) if chosen else ()
            if not chosen:
                break
            yield PurgingStep(len(chosen), 0, changes)
        purged = AT_ONCE
        while purged >= AT_ONCE:
            async with self._database.connection() as connection:
                purged = await connection.fetchval(PURGE, AT_ONCE)
            if purged:
                yield PurgingStep(0, purged, ())

    async def count(self) -> InboxesCount:
        """What a round would do now. Reads every message. Raises like `run`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(COUNT.format(over=self.periods.over), timeout=LONGEST)
        assert row is not None  # noqa: S101  # for the type checker: a count has a row
        return InboxesCount(**row)

    async def find(self, users: Sequence[str], ids: Sequence[UUID], tenant: str | None) -> int:
        """How many messages `erase` would empty. Raises like `run`."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(
                COUNT_OF_PERSON, users, ids, tenant, timeout=LONGEST
            )
        return count

    async def erase(
        self, users: Sequence[str], ids: Sequence[UUID], tenant: str | None
    ) -> AsyncIterator[PurgingStep]:
        """Empty all messages of these users, and those with these ids, so that open clients drop them too.

        Args:
            tenant: Only those of this one; of all if None.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; what is left is found again.
        """
        while True:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(OF_PERSON, users, ids, tenant, timeout=LONGEST)
                chosen = _chosen(rows)
                changes = await change(connection, chosen, STORED, DELETED) if chosen else ()
            if not chosen:
                return
            yield PurgingStep(len(chosen), 0, changes)


def _chosen(rows: Iterable[Any]) -> Chosen:
    return [(row["tenant"], row["user_id"], row["id"]) for row in rows]
