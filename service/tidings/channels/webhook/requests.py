"""Requests that are under way to receivers of webhooks: to whom, since when, and who takes no place for them."""

from dataclasses import dataclass
from math import inf
from typing import Final

from tidings.channels.webhook.deferrals import Returns

SOON: Final = 1.0
"""Seconds."""
BYTES_ASIDE: Final = 16 * 1024 * 1024
"""Bytes of all in one room; a single larger one may be, alone."""


@dataclass(slots=True, eq=False)
class Room:
    """For webhooks that take no place."""

    most: int
    used: int = 0
    size: int = 0
    """Bytes of all in it."""

    def fits(self, size: int, most: int | None = None) -> bool:
        """Whether another one may come in, where there may be so many."""
        return self.used < (self.most if most is None else most) and (
            not self.size or self.size + size <= BYTES_ASIDE
        )

    def enter(self, size: int) -> None:
        """It comes in."""
        self.used += 1
        self.size += size

    def leave(self, size: int) -> None:
        """It has ended."""
        self.used -= 1
        self.size -= size


@dataclass(slots=True, eq=False)
class Receiver:
    """One server that webhooks go to."""

    where: str
    credit: int = 0
    """Above 0 for one that answers soon, below for one that is slow, 0 for one of which nothing is known."""
    unanswered: int = 0
    """Requests in a row that got no answer, be it a refusal."""
    rests: int = 0
    """How often in a row it was left in peace."""
    answered: bool = False
    """Whether it ever has."""
    takes: float = SOON
    """Seconds until it answers, by and large."""
    returns: Returns | None = None
    """Of those put off because of it."""
    rests_until: float = -inf
    tried: float = inf
    """When the first of those under way was asked."""
    under_way: int = 0
    aside: int = 0
    """Of these, those in the room that all share."""
    late: int = 0
    """Of these, those that it has not answered soon."""
    proved: float = -inf
    """When it answered soon, the last time."""

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it."""
        return not (self.credit or self.unanswered or self.answered)


@dataclass(slots=True, eq=False)
class Turn:
    """One request to a receiver."""

    receiver: Receiver
    size: int
    began: float
    room: Room | None = None
    late: bool = False

    @property
    def aside(self) -> bool:
        """Whether it takes no place."""
        return self.room is not None
