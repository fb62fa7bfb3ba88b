"""How a notification becomes columns: one list, shared by every statement that inserts one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Protocol

from tidings.delivery.attempt import Attempt
from tidings.ledger.packing import packed, parameters


class Storable(Protocol):
    """An attempt, and when it stops being worth making."""

    @property
    def attempt(self) -> Attempt: ...
    @property
    def expires_at(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `notifications`, its PostgreSQL type, and where its value comes from."""

    name: str
    type: str
    value: Callable[[Storable], object]


class Columns(tuple[Column, ...]):
    """The columns that a notification fills when it is first stored."""

    __slots__ = ()

    @property
    def names(self) -> str:
        """For an INSERT's list."""
        return ", ".join(column.name for column in self)

    def parameters(self, *further: str, after: int = 0) -> str:
        """Parameters for `unnest`, numbered from `after` + 1, and further ones of these types."""
        return parameters(*(column.type for column in self), *further, after=after)


COLUMNS: Final = Columns(
    (
        Column("id", "uuid", attrgetter("attempt.id")),
        Column("channel", "text", attrgetter("attempt.lane.channel")),
        Column("priority", "text", attrgetter("attempt.lane.priority")),
        Column("tenant", "text", attrgetter("attempt.notification.tenant")),
        Column("category", "text", attrgetter("attempt.notification.category")),
        Column("recipient", "text", lambda storable: str(storable.attempt.notification.recipient)),
        Column("user_id", "text", attrgetter("attempt.notification.user_id")),
        Column(
            "entity_type",
            "text",
            lambda storable: (
                entity.type if (entity := storable.attempt.notification.entity) else None
            ),
        ),
        Column(
            "entity_id",
            "text",
            lambda storable: (
                entity.id if (entity := storable.attempt.notification.entity) else None
            ),
        ),
        Column("body", "bytea", attrgetter("attempt.body")),
        Column("traceparent", "text", attrgetter("attempt.traceparent")),
        Column("idempotency_key", "text", attrgetter("attempt.notification.idempotency_key")),
        Column("scheduled_at", "timestamptz", attrgetter("attempt.notification.scheduled_at")),
        Column("expires_at", "timestamptz", attrgetter("expires_at")),
        Column("accepted_at", "timestamptz", attrgetter("attempt.first_seen")),
        Column("time_source", "text", attrgetter("attempt.time_source")),
        Column("producer", "text", attrgetter("attempt.producer")),
        Column(
            "template",
            "text",
            lambda storable: getattr(storable.attempt.notification, "template", None),
        ),
        Column("subject", "text", lambda storable: _subject(storable.attempt)),
        Column("test", "boolean", attrgetter("attempt.notification.test")),
    )
)


def _subject(attempt: Attempt) -> str | None:
    """The subject that its producer wrote; None where it has none, or its template has it."""
    subject: str | None = getattr(attempt.notification, "subject", None)
    return fit(subject) if subject else None


def columns(requests: Iterable[Storable], *further: list[object]) -> list[list[object]]:
    """The columns of `COLUMNS`, in their order, and further ones, packed for `parameters`."""
    items = list(requests)
    return packed([*([*map(column.value, items)] for column in COLUMNS), *further])


LARGE: Final = 1024 * 1024
"""Bytes of a body that is worth a statement of its own kind."""


def by_itself(statement: str, *arguments: object) -> tuple[str, *tuple[object, ...]]:
    """A statement and its arguments, where an array of one large body becomes a value.

    The driver writes an array to one buffer and copies it to another: a body would be in memory twice more.
    """
    found = list(arguments)
    for place, values in enumerate(arguments, start=1):
        match values:
            case [bytes(body)] if len(body) >= LARGE:
                found[place - 1] = body
                statement = statement.replace(f"${place}::bytea[]", f"ARRAY[${place}::bytea]")
    return statement, *found


def fit(text: str) -> str:
    """Text that PostgreSQL holds: a provider may say anything, but no NUL and no half of a pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
