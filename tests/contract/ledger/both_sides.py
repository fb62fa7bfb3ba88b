"""The ledger's parts on PostgreSQL and in memory, and all that can be told of what they hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from tests.doubles.faults import no_faults
from tests.doubles.memory_database import MemoryDatabase, MemoryServer
from tests.doubles.memory_tables import Tables

from tidings.ledger.database import Database
from tidings.ledger.dead_letters.dead_letters import DeadLetters
from tidings.ledger.notifications.changes import Changes
from tidings.ledger.notifications.claims import Claims
from tidings.ledger.notifications.dispatch import Outbox
from tidings.ledger.notifications.outbox_batches import OutboxBatches
from tidings.ledger.notifications.records import Records
from tidings.ledger.notifications.requeue import Requeues

WEEK = 7 * 86_400.0
PATIENCE = 300.0

NOTIFICATION = (
    *("id", "channel", "priority", "recipient", "body", "idempotency_key", "scheduled_at"),
    *(
        "expires_at",
        "accepted_at",
        "time_source",
        "producer",
        "state",
        "epoch",
        "attempt",
        "duplicate_of",
    ),
    *("lease_holder", "lapses", "perhaps_sent", "provider", "reference", "reason", "failure_kind"),
    *("failure_code", "failure_message", "retry_delay"),
)
MOMENTS = ("lease_until", "dispatch_at", "finished_at", "requeued_at")
ATTEMPT = (
    *("epoch", "attempt", "state", "provider", "reference", "code", "kind", "message"),
    *("retry_delay", "possible_duplicate", "worker"),
)
DEAD_LETTER = (
    *("id", "notification_id", "epoch", "state", "reason", "kind", "message", "attempts"),
    *("note", "replay", "replay_epoch", "first_failed_at", "last_failed_at"),
)
RESULT = (
    *("notification_id", "epoch", "attempt", "address", "role", "state"),
    *("kind", "code", "message"),
)
TRANSITION = ("epoch", "before", "after", "actor", "reason")

Held = dict[str, Any]


class Side:
    """One of both."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.claims = Claims(database, worker="worker", window=WEEK, patience=PATIENCE)
        self.records = Records(database)
        self.outbox = Outbox(database)
        self.outbox_batches = OutboxBatches(database)
        self.requeues = Requeues(database, after=PATIENCE)
        self.changes = Changes(database)
        self.dead_letters = DeadLetters(database, actor="a person", window=WEEK)


class Backdoor(Protocol):
    """What is done behind the ledger's back."""

    async def past(self, column: str) -> None:
        """Let all moments of a kind lie a second behind us."""

    async def holds(self) -> Held:
        """Everything, as values that can be compared."""


class OnPostgreSQL(Side):
    """The real one."""

    async def past(self, column: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(
                f"UPDATE notifications SET {column} = now() - interval '1 second' "  # noqa: S608  # ours
                f"WHERE {column} IS NOT NULL"
            )

    async def holds(self) -> Held:
        return _told(
            await self._all("notifications"),
            [(row["notification_id"], row) for row in await self._all("attempts")],
            await self._all("dead_letters"),
            [(row["notification_id"], row) for row in await self._all("transitions")],
            {
                (row["key"], row["addressee"]): row["notification_id"]
                for row in await self._all("idempotency_holders WHERE expires_at > now()")
            },
            await self._all("recipient_results"),
        )

    async def _all(self, table: str) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")]  # noqa: S608  # ours


class InMemory(Side):
    """The one of the simulation."""

    def __init__(self) -> None:
        self.tables = Tables(lambda: datetime.now(UTC))
        super().__init__(MemoryDatabase(MemoryServer(self.tables, no_faults())))

    async def past(self, column: str) -> None:
        for id, row in self.tables.notifications.items():
            if row[column] is not None:
                before = datetime.now(UTC) - timedelta(seconds=1)
                self.tables.notifications[id] = {**row, column: before}

    async def holds(self) -> Held:
        transitions = [
            (transition.id, {name: getattr(transition, name) for name in TRANSITION})
            for transition in self.tables.transitions
        ]
        return _told(
            list(self.tables.notifications.values()),
            [(place[0], row) for place, row in self.tables.attempts.items()],
            list(self.tables.dead_letters.values()),
            transitions,
            {place: id for place, (id, _) in self.tables.keys.items()},
            list(self.tables.results.values()),
        )


def _told(
    notifications: Sequence[Mapping[str, Any]],
    attempts: Sequence[tuple[UUID, Mapping[str, Any]]],
    dead_letters: Sequence[Mapping[str, Any]],
    transitions: Sequence[tuple[UUID, Mapping[str, Any]]],
    keys: Mapping[tuple[str, bytes], UUID],
    results: Sequence[Mapping[str, Any]],
) -> Held:
    return {
        "notifications": {row["id"]: _notification(row) for row in notifications},
        "attempts": {(id, *(row[name] for name in ATTEMPT)) for id, row in attempts},
        "dead_letters": {tuple(_whole(row[name]) for name in DEAD_LETTER) for row in dead_letters},
        "history": Counter((id, *(row[name] for name in TRANSITION)) for id, row in transitions),
        "keys": dict(keys),
        "results": {tuple(row[name] for name in RESULT) for row in results},
    }


def _notification(row: Mapping[str, Any]) -> dict[str, Any]:
    notification = {name: row[name] for name in NOTIFICATION}
    return notification | {name: about(row[name]) for name in MOMENTS}


def _whole(value: Any) -> Any:
    """Moments to the second: both sides add up milliseconds."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def about(moment: datetime | None) -> str | None:
    """Roughly when: both sides do the same a little later than each other."""
    return None if moment is None else roughly((moment - datetime.now(UTC)).total_seconds())


def roughly(seconds: float) -> str:
    """Nothing here happens at a time that is near to one of these limits."""
    return "by now" if seconds < 3 else "soon" if seconds < 1_000 else "later"
