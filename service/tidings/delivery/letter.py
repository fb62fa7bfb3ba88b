"""A dead letter: a message nobody could deliver, and what is known of why.

buried ──replay──▶ replaying ──published──▶ replayed ──replay --force──▶ replaying
   │
   ├──discard──▶ discarded
   └──edit──▶ superseded        (the edited letter is buried in its place)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from tidings.delivery.attempt import Lane
from tidings.delivery.outcome import Failure, Reason
from tidings_events import Notification


class LetterState(StrEnum):
    """Where a dead letter is."""

    BURIED = "buried"
    """Waiting for a person to decide."""
    REPLAYING = "replaying"
    """On its way back to its lane: the ledger's outbox publishes it, whoever dies."""
    REPLAYED = "replayed"
    """Back in its lane, in a new epoch."""
    DISCARDED = "discarded"
    """Closed, with a reason."""
    SUPERSEDED = "superseded"
    """Edited: another letter stands in its place."""


L = LetterState

LETTER_TRANSITIONS: Final = MappingProxyType(
    {
        L.BURIED: frozenset({L.REPLAYING, L.DISCARDED, L.SUPERSEDED}),
        L.REPLAYING: frozenset({L.REPLAYED}),
        L.REPLAYED: frozenset({L.REPLAYING}),  # `replay --force`
        L.DISCARDED: frozenset[LetterState](),
        L.SUPERSEDED: frozenset[LetterState](),
    }
)
"""From each state, the states that may follow."""


@dataclass(frozen=True, slots=True)
class Letter:
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
    epoch: int
    attempt: int
    """The attempt that the message was in, or would have been next; 1 for the first."""
    attempts: int
    """Attempts made in this epoch."""
    tracked: bool
    """Whether this message stood for its notification, so that its end is the notification's end.
    False for what a producer sent astray or garbled: a good copy may be on its way."""
    first_seen: datetime
    buried_at: datetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: Mapping[str, Any]
    """As received, made fit for JSON."""

    @property
    def channel(self) -> str | None:
        """The channel it was for, where that can be told."""
        return self.lane.channel if self.lane else None
