"""A dead letter: a message that was not delivered, with the reason.

open ──replay──▶ replayed ──replay --force──▶ replayed
   │       └──waits──▶ replaying ──published──▶ replayed
   │
   ├──discard──▶ discarded
   └──edit──▶ superseded        (the edited dead letter replaces it)
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from tidings.delivery.attempt import Lane
from tidings.delivery.outcome import Failure, Reason
from tidings.delivery.search_fields import NO_SEARCH_FIELDS, SearchFields
from tidings_events import Notification, Priority


class DeadLetterState(StrEnum):
    """The state of a dead letter."""

    OPEN = "open"
    """Waits for a decision."""
    REPLAYING = "replaying"
    """Waits in the ledger's outbox, which survives any crash: for its time, or until it can be published."""
    REPLAYED = "replayed"
    """Back in its lane, or on its way there, in a new epoch."""
    DISCARDED = "discarded"
    """Closed for good, with a note."""
    SUPERSEDED = "superseded"
    """Edited: another dead letter replaces it."""


OPEN: Final = (DeadLetterState.OPEN, DeadLetterState.REPLAYING)
"""States in which it is not settled."""


L = DeadLetterState

DEAD_LETTER_TRANSITIONS: Final = MappingProxyType(
    {
        L.OPEN: frozenset({L.REPLAYED, L.REPLAYING, L.DISCARDED, L.SUPERSEDED}),
        L.REPLAYING: frozenset({L.REPLAYED}),
        L.REPLAYED: frozenset({L.REPLAYED, L.REPLAYING}),  # `replay --force`, or not confirmed
        L.DISCARDED: frozenset[DeadLetterState](),
        L.SUPERSEDED: frozenset[DeadLetterState](),
    }
)
"""From each state, the states that may follow."""


class Origin(StrEnum):
    """How a message came to the dead-letter queue."""

    WORKER = "worker"
    """A worker published it there."""
    LANE = "lane"
    """RabbitMQ dead-lettered it from its lane."""
    NO_LANE = "no_lane"
    """Tidings published it, and its lane is gone."""
    MOVED = "moved"
    """Tidings published it, and it was moved here by hand from another queue."""
    ASTRAY = "astray"
    """A producer published it wrongly: a good copy of the same notification may be on its way."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message from the dead-letter queue, in a form that can be stored."""

    id: UUID
    """The same each time this message arrives, if it can be distinguished from others."""
    reason: Reason
    failure: Failure
    body: bytes
    """As the producer wrote it."""
    notification: Notification | None
    """The notification in the body; None if it can't be read."""
    lane: Lane | None
    """Its lane, from its body or its routing key; None if neither names one."""
    origin: Origin
    epoch: int
    attempt: int
    """The attempt that failed, or that would have been next; 1 for the first."""
    first_seen: datetime
    dead_lettered_at: datetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: Mapping[str, Any]
    """As received, converted to JSON types."""
    properties: Mapping[str, str] | None = field(default_factory=dict)
    """The producer's AMQP properties; None if Tidings published it without them."""
    unread: SearchFields = NO_SEARCH_FIELDS
    """What a body that is no valid notification contains of these fields."""

    @property
    def search_fields(self) -> SearchFields:
        """The fields by which it can be found."""
        return self.unread if self.notification is None else SearchFields.of(self.notification)

    @property
    def notification_id(self) -> UUID | None:
        """The id of its notification; None if its body has none."""
        return self.unread.id if self.notification is None else self.notification.id

    @property
    def channel(self) -> str | None:
        """Its channel; None if not known."""
        return self.lane.channel if self.lane else None

    @property
    def tracked(self) -> bool:
        """Whether it was its notification's own message, so that this ends the notification."""
        return self.origin is not Origin.ASTRAY

    @property
    def attempts(self) -> int:
        """Attempts made in this epoch, according to the message."""
        return self.attempt if self.origin is Origin.WORKER else self.attempt - 1


_PRIORITIES: Final = frozenset(Priority)


def lane_of(
    notification: Notification | None,
    routing_key: str,
    channels: Collection[str],
    unread: SearchFields = NO_SEARCH_FIELDS,
) -> Lane | None:
    """The lane of a message: from its body, or from its routing key if the body names none.

    A message moved by hand has the name of a queue as its routing key.
    """
    channel, _, rest = routing_key.removeprefix("tidings.").partition(".")
    priority = rest.partition(".")[0]
    known = priority in _PRIORITIES
    if notification is None:
        fallback = priority if known else Priority.NORMAL.value
        named = (
            name for name in (unread.channel, channel) if name is not None and name in channels
        )
        own = next(named, None)
        return None if own is None else Lane(own, fallback)
    if known and "priority" not in notification.model_fields_set:
        return Lane(notification.channel, priority)
    return Lane(notification.channel, notification.priority.value)
