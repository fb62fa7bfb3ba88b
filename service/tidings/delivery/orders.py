"""Orders of operators to all workers: pause a channel, disable a provider; the latest order counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tidings.delivery.circuit import Phase

WHOLE_CHANNEL = ""
"""The provider of an order that concerns the whole channel."""


class Verb(StrEnum):
    """The order's action."""

    PAUSE = "pause"
    """Deliver nothing on this channel until `resume`."""
    RESUME = "resume"
    DISABLE = "disable"
    """Send nothing through this provider until `enable`."""
    ENABLE = "enable"
    """Use it again at once, with a closed circuit."""


@dataclass(frozen=True, slots=True)
class Order:
    """An operator's order."""

    id: int
    channel: str
    provider: str
    """The provider; `WHOLE_CHANNEL` for pause and resume."""
    verb: Verb
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CircuitReport:
    """A circuit of one worker that is not closed."""

    channel: str
    provider: str
    phase: Phase
    reason: str
    """The provider's last error, or who disabled it."""
    since: datetime
    probe_in: float | None
    """Seconds until the next probe; None if none is due."""


@dataclass(frozen=True, slots=True)
class SentThrough:
    """A provider whose circuit lets sends pass, and through which a worker sent."""

    channel: str
    provider: str
    ago: float
    """Seconds since the last one, at most."""


def pausing(orders: Iterable[Order], channel: str) -> Order | None:
    """The order that pauses a channel; None if it is not paused."""
    for order in orders:
        if order.channel == channel and order.provider == WHOLE_CHANNEL:
            return order if order.verb is Verb.PAUSE else None
    return None
