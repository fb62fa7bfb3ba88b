"""Orders of operators to all workers: pause a channel, disable a provider; the last one counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tidings.delivery.circuit import Phase

WHOLE_CHANNEL = ""
"""In an order's place for a provider: it is about the channel itself."""


class Verb(StrEnum):
    """What is to be done."""

    PAUSE = "pause"
    """Take nothing more of this channel until `resume`."""
    RESUME = "resume"
    DISABLE = "disable"
    """Send nothing through this provider until `enable`."""
    ENABLE = "enable"
    """Use it again at once, whatever happened before."""


@dataclass(frozen=True, slots=True)
class Order:
    """An operator's word."""

    id: int
    channel: str
    provider: str
    """Whom it is about; `WHOLE_CHANNEL` for pause and resume."""
    verb: Verb
    actor: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CircuitReport:
    """A circuit that is not closed, as one worker has it."""

    channel: str
    provider: str
    phase: Phase
    reason: str
    """The provider's last error, or who disabled it."""
    since: datetime
    probe_in: float | None
    """Seconds until the next probe, where there is one to come."""


def pausing(orders: Iterable[Order], channel: str) -> Order | None:
    """The order that pauses a channel; None where it may go on."""
    for order in orders:
        if order.channel == channel and order.provider == WHOLE_CHANNEL:
            return order if order.verb is Verb.PAUSE else None
    return None
