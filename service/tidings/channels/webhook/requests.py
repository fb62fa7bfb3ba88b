"""Webhook requests under way, their receivers, and the bulkheads that hold slow ones without a concurrency slot."""

from dataclasses import dataclass
from math import inf
from typing import Final

from tidings.channels.webhook.postponements import PostponementSchedule

SOON: Final = 1.0
"""Seconds in which a fast receiver responds."""
BYTES_ASIDE: Final = 16 * 1024 * 1024
"""Bytes of all bodies in one bulkhead; a single larger one is allowed alone."""


@dataclass(slots=True, eq=False)
class Bulkhead:
    """Bounds webhooks that hold no concurrency slot, by number and bytes."""

    most: int
    used: int = 0
    size: int = 0
    """Bytes of all bodies in it."""

    def fits(self, size: int, most: int | None = None) -> bool:
        """Whether another one fits, given `most` in all."""
        return self.used < (self.most if most is None else most) and (
            not self.size or self.size + size <= BYTES_ASIDE
        )

    def enter(self, size: int) -> None:
        """Add one."""
        self.used += 1
        self.size += size

    def leave(self, size: int) -> None:
        """Remove one."""
        self.used -= 1
        self.size -= size


@dataclass(slots=True, eq=False)
class Receiver:
    """A server that webhooks are sent to."""

    origin: str
    credit: int = 0
    """Above 0 if it is fast, below 0 if it is slow, 0 if it is untested."""
    unanswered: int = 0
    """Requests in a row without any response."""
    pauses: int = 0
    """Pauses in a row."""
    answered: bool = False
    """Whether it ever responded."""
    takes: float = SOON
    """Average response time in seconds."""
    schedule: PostponementSchedule | None = None
    """When its postponed webhooks return."""
    paused_until: float = -inf
    tried: float = inf
    """When the first of the requests under way was sent."""
    under_way: int = 0
    aside: int = 0
    """Of these, those in the bulkhead for slow receivers."""
    late: int = 0
    """Of these, those without a response within `SOON`."""
    proved: float = -inf
    """Time of its last fast response."""

    @property
    def untested(self) -> bool:
        """Whether it has neither responded nor failed to."""
        return not (self.credit or self.unanswered or self.answered)


@dataclass(slots=True, eq=False)
class ReceiverRequest:
    """One request to a receiver."""

    receiver: Receiver
    size: int
    began: float
    room: Bulkhead | None = None
    late: bool = False

    @property
    def aside(self) -> bool:
        """Whether it holds no concurrency slot."""
        return self.room is not None
