"""How a notification becomes columns: one list, shared by every statement that inserts one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tidings.delivery.attempt import Attempt


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

    def parameters(self, *, after: int = 0) -> str:
        """`$1::uuid[], $2::text[], …` for `unnest`, numbered from `after` + 1."""
        return ", ".join(
            f"${place}::{column.type}[]" for place, column in enumerate(self, start=after + 1)
        )

    def further(self, *types: str, after: int = 0) -> str:
        """Parameters that follow those of `parameters(after=after)`."""
        first = after + len(self) + 1
        return ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types, start=first))


COLUMNS: Final = Columns(
    (
        Column("id", "uuid", lambda one: one.attempt.id),
        Column("channel", "text", lambda one: one.attempt.lane.channel),
        Column("priority", "text", lambda one: one.attempt.lane.priority),
        Column("category", "text", lambda one: one.attempt.notification.category),
        Column("recipient", "text", lambda one: str(one.attempt.notification.recipient)),
        Column("user_id", "text", lambda one: one.attempt.notification.user_id),
        Column(
            "entity_type",
            "text",
            lambda one: entity.type if (entity := one.attempt.notification.entity) else None,
        ),
        Column(
            "entity_id",
            "text",
            lambda one: entity.id if (entity := one.attempt.notification.entity) else None,
        ),
        Column("body", "bytea", lambda one: one.attempt.body),
        Column("traceparent", "text", lambda one: one.attempt.traceparent),
        Column("idempotency_key", "text", lambda one: one.attempt.notification.idempotency_key),
        Column("scheduled_at", "timestamptz", lambda one: one.attempt.notification.scheduled_at),
        Column("expires_at", "timestamptz", lambda one: one.expires_at),
        Column("accepted_at", "timestamptz", lambda one: one.attempt.first_seen),
    )
)


def columns(requests: Iterable[Storable]) -> list[list[object]]:
    """One list of values per column, in the order of `COLUMNS`, for `unnest`."""
    items = list(requests)
    return [packed([column.value(one) for one in items]) for column in COLUMNS]


def packed(values: list[object]) -> list[object]:
    """Nothing in place of nothing but NULL, which `unnest` puts there again: each costs as much as a value."""
    return values if any(one is not None for one in values) else []


def fit(text: str) -> str:
    """Text that PostgreSQL holds: a provider may say anything, but no NUL and no half of a pair."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
