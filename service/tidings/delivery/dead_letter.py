"""A dead letter: a message that was not delivered, and what is known of why.

open ──replay──▶ replaying ──published──▶ replayed ──replay --force──▶ replaying
   │
   ├──discard──▶ discarded
   └──edit──▶ superseded        (the edited dead letter stands in its place)
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
    """Where a dead letter is."""

    OPEN = "open"
    """Waiting for a person to decide."""
    REPLAYING = "replaying"
    """On its way back to its lane: the ledger's outbox publishes it, whoever dies."""
    REPLAYED = "replayed"
    """Back in its lane, in a new epoch."""
    DISCARDED = "discarded"
    """Closed, with a reason."""
    SUPERSEDED = "superseded"
    """Edited: another dead letter stands in its place."""


OPEN: Final = (DeadLetterState.OPEN, DeadLetterState.REPLAYING)
"""Not dealt with yet."""


L = DeadLetterState

DEAD_LETTER_TRANSITIONS: Final = MappingProxyType(
    {
        L.OPEN: frozenset({L.REPLAYING, L.DISCARDED, L.SUPERSEDED}),
        L.REPLAYING: frozenset({L.REPLAYED}),
        L.REPLAYED: frozenset({L.REPLAYING}),  # `replay --force`
        L.DISCARDED: frozenset[DeadLetterState](),
        L.SUPERSEDED: frozenset[DeadLetterState](),
    }
)
"""From each state, the states that may follow."""


class Origin(StrEnum):
    """How a message came to the dead letters."""

    WORKER = "worker"
    """A worker gave it up."""
    LANE = "lane"
    """RabbitMQ took it from its lane."""
    NO_LANE = "no_lane"
    """It is ours, and its lane is gone."""
    MOVED = "moved"
    """It is ours, and somebody moved it here from a queue of ours."""
    ASTRAY = "astray"
    """A producer sent or wrote it wrongly: a good copy of the same notification may be on its way."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as it arrived on the dead queue. Everything in it can be stored as it is."""

    id: UUID
    """The same each time this message arrives, wherever the message can be told from others."""
    reason: Reason
    failure: Failure
    body: bytes
    """As the producer wrote it."""
    notification: Notification | None
    """What the body says; None where it can't be read."""
    lane: Lane | None
    """Where it belongs, as far as its body or its routing key tell."""
    origin: Origin
    epoch: int
    attempt: int
    """The attempt that the message was in, or would have been next; 1 for the first."""
    first_seen: datetime
    dead_lettered_at: datetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: Mapping[str, Any]
    """As received, made fit for JSON."""
    properties: Mapping[str, str] | None = field(default_factory=dict)
    """AMQP properties as its producer set them; None where it is one of ours that doesn't say."""
    unread: SearchFields = NO_SEARCH_FIELDS
    """What can be told of a body that can't be read."""

    @property
    def search_fields(self) -> SearchFields:
        """What it is found by."""
        return self.unread if self.notification is None else SearchFields.of(self.notification)

    @property
    def notification_id(self) -> UUID | None:
        """Whose dead letter it is, as far as its body tells."""
        return self.unread.id if self.notification is None else self.notification.id

    @property
    def channel(self) -> str | None:
        """The channel it was for, where that can be told."""
        return self.lane.channel if self.lane else None

    @property
    def tracked(self) -> bool:
        """Whether it stood for its notification, so that its end is the notification's end."""
        return self.origin is not Origin.ASTRAY

    @property
    def attempts(self) -> int:
        """Attempts made in this epoch, as far as the message tells."""
        return self.attempt if self.origin is Origin.WORKER else self.attempt - 1


def lane_of(
    notification: Notification | None,
    routing_key: str,
    channels: Collection[str],
    unread: SearchFields = NO_SEARCH_FIELDS,
) -> Lane | None:
    """The lane in which a message belongs: its body says, and its routing key where the body doesn't.

    What was moved by hand has the name of a queue for its routing key.
    """
    channel, _, rest = routing_key.removeprefix("tidings.").partition(".")
    priority = rest.partition(".")[0]
    known = priority in set(Priority)
    if notification is None:
        fallback = priority if known else Priority.NORMAL.value
        named = (name for name in (unread.channel, channel) if name is not None and name in channels)
        own = next(named, None)
        return None if own is None else Lane(own, fallback)
    if known and "priority" not in notification.model_fields_set:
        return Lane(notification.channel, priority)
    return Lane(notification.channel, notification.priority.value)
