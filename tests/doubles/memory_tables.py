"""The ledger's tables in memory: rows, what happened to them, and the way back where a transaction fails."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from tidings.delivery.states import State
from tidings.ledger.notifications.rows import COLUMNS

Row: TypeAlias = Mapping[str, Any]
Statement: TypeAlias = Callable[..., Sequence[Row]]
"""Given the tables and its parameters: its rows."""

BLANK: Row = {
    "duplicate_of": None,
    "finished_at": None,
    "dispatch_at": None,
    "lease_holder": None,
    "lease_until": None,
    "lapses": 0,
    "perhaps_sent": False,
    "requeued_at": None,
    "updated_at": None,
    "provider": None,
    "reference": None,
    "reason": None,
    "failure_kind": None,
    "failure_code": None,
    "failure_message": None,
    "retry_delay": None,
}
"""What a notification has when it is first stored."""

INCOMING = tuple(column.name for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class Move:
    """A notification changed its state, or began."""

    id: UUID
    epoch: int
    before: State | None
    after: State
    at: datetime
    row: Row
    """As it is afterwards."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A row of `transitions`."""

    id: UUID
    epoch: int
    before: str
    after: str
    actor: str
    reason: str


@dataclass(slots=True)
class Tables:
    """Rows are never changed in place: a copy of a table is a copy of what it held.

    Args:
        now: The database's clock.
        tell: Called for every change of state.
    """

    now: Callable[[], datetime]
    tell: Callable[[str], None] = lambda _: None
    notifications: dict[UUID, Row] = field(default_factory=dict)
    attempts: dict[tuple[UUID, int, int], Row] = field(default_factory=dict)
    results: dict[tuple[UUID, int, str], Row] = field(default_factory=dict)
    """What became of recipients, by notification, epoch and address."""
    dead_letters: dict[UUID, Row] = field(default_factory=dict)
    batches: dict[UUID, tuple[tuple[tuple[UUID, int], ...], datetime]] = field(default_factory=dict)
    """Of the outbox: notifications with their epochs, and until when a process holds them."""
    keys: dict[tuple[str, bytes], tuple[UUID, datetime]] = field(default_factory=dict)
    """By key and addressee: who holds it, and until when."""
    circuits: dict[tuple[str, str, str], tuple[str, datetime]] = field(default_factory=dict)
    """By channel, provider and worker: phase, and when it was last said."""
    transitions: list[Transition] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    notified: list[str] = field(default_factory=list)
    """Channels of NOTIFY, told when the transaction commits."""

    def snapshot(self) -> Callable[[], None]:
        """How to undo all that happens from now on."""
        kept = (
            dict(self.notifications),
            dict(self.attempts),
            dict(self.results),
            dict(self.dead_letters),
            dict(self.batches),
            dict(self.keys),
            dict(self.circuits),
            list(self.transitions),
            list(self.moves),
            list(self.notified),
        )

        def undo() -> None:
            (
                self.notifications,
                self.attempts,
                self.results,
                self.dead_letters,
                self.batches,
                self.keys,
                self.circuits,
                self.transitions,
                self.moves,
                self.notified,
            ) = kept

        return undo

    def in_(self, seconds: float) -> datetime:
        """A moment from now."""
        return self.now() + timedelta(seconds=seconds)

    def add(self, row: Row, **fields: Any) -> Row | None:
        """Store a notification; None where its id is known."""
        if row["id"] in self.notifications:
            return None
        stored = {
            **BLANK,
            **{name: row[name] for name in INCOMING},
            "updated_at": self.now(),
            **fields,
        }
        self.notifications[row["id"]] = stored
        self._moved(None, stored)
        return stored

    def change(self, row: Row, **fields: Any) -> Row:
        """Change a notification."""
        changed = {**row, **fields}
        if "state" in fields:
            changed["updated_at"] = self.now()
        self.notifications[row["id"]] = changed
        if "state" in fields:
            self._moved(row["state"], changed)
        return changed

    def note(self, id: UUID, epoch: int, before: str, after: str, actor: str, reason: str) -> None:
        """Add to the history."""
        self.transitions.append(Transition(id, epoch, before, after, actor, reason))

    def _moved(self, before: str | None, row: Row) -> None:
        was, after = State(before) if before else None, State(row["state"])
        self.moves.append(Move(row["id"], row["epoch"], was, after, self.now(), row))
        self.tell(f"ledger: {str(row['id'])[:5]} {before or '-'} → {after} epoch {row['epoch']}")


def unnest(names: Iterable[str], columns: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows from one list of values per column."""
    names = tuple(names)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def unpacked(names: Iterable[str], columns: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of a statement with `ledger.rows.parameters`: one value may stand for all."""
    rows = len(columns[0])
    return unnest(names, [[*column] * rows if len(column) == 1 else column for column in columns])


def pick(row: Row, *names: str) -> Row:
    """Some columns."""
    return {name: row[name] for name in names}
