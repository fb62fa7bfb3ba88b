"""A relay's reply and the stage of a mail it came at, and what its silence means."""

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, auto

from tidings.delivery.errors import (
    DeliveryError,
    OutcomeUnknown,
    OutOfService,
    Suppression,
    Unavailable,
)
from tidings.delivery.value import value

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


class Stage(IntEnum):
    """How far a mail has come, in order."""

    WAITING = 0
    """For a connection to become free."""
    CONNECT = 1
    """Until the relay's greeting."""
    HELLO = 2
    TLS = 3
    LOGIN = 4
    SENDER = 5
    """MAIL FROM."""
    RECIPIENT = 6
    """RCPT TO, the one the notification is for."""
    DATA = 7
    """Until the last byte but the final dot is out."""
    PAYLOAD = 8
    """The final dot is out: the relay may have taken it."""


class Welcome(Enum):
    """Whether the relay passes mail on for us, as far as is known."""

    NO = auto()
    """It took nobody yet, or nobody any more."""
    DOUBTED = auto()
    """It took some a moment ago, and none of those who were asked for on new connections since."""
    YES = auto()


@value(frozen=True, slots=True)
class Reply:
    """What a relay said: a three-digit code and a text, of several lines perhaps."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Whether it is a yes: the first digit says so, the others refine it (RFC 5321, 4.2.1)."""
        return 200 <= self.code < 300

    @property
    def negative(self) -> bool:
        """Whether it is a no, for now or for good."""
        return 400 <= self.code < 600

    @property
    def enhanced(self) -> str:
        """The enhanced status code at the start of the text, e.g. `5.1.1`; empty without one."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    @property
    def codes(self) -> str:
        """Both codes, e.g. `550 5.1.1`."""
        return f"{self.code} {self.enhanced}".rstrip()


@dataclass(frozen=True, slots=True)
class Reading:
    """What something that went wrong means."""

    error: type[DeliveryError]
    meaning: str
    remedy: str = ""
    """What an operator can do about it."""
    doubtful: bool = False
    """Whether it may be about this mail only, although it sounds like us."""
    suppress: Suppression | None = None
    """Why the recipient should not be written to again."""


def nonsense(stage: Stage) -> Reading:
    """What an answer means that is none."""
    return Reading(_unfinished(stage), "the relay answered what is no answer")


def lost(stage: Stage) -> Reading:
    """What a lost connection means."""
    return Reading(_unfinished(stage), "the connection to the relay was lost")


def late(stage: Stage) -> Reading:
    """What it means that time ran out."""
    if stage is Stage.WAITING:
        return Reading(OutOfService, "no connection to the relay became free in time")
    return Reading(_unfinished(stage), "the relay did not answer in time")


def _unfinished(stage: Stage) -> type[DeliveryError]:
    return OutcomeUnknown if stage is Stage.PAYLOAD else Unavailable
