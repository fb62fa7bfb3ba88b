"""A relay's replies, the stages of a mail, and what a missing reply means at each."""

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
    """Stages of sending a mail, in order."""

    WAITING = 0
    """Until a connection becomes free."""
    CONNECT = 1
    """Until the relay's greeting."""
    HELLO = 2
    TLS = 3
    LOGIN = 4
    SENDER = 5
    """MAIL FROM."""
    RECIPIENT = 6
    """RCPT TO."""
    DATA = 7
    """Until all data except the final dot is sent."""
    PAYLOAD = 8
    """The final dot is sent: the relay may have accepted the mail."""


class RelayingState(Enum):
    """Whether the relay relays for us, as far as is known."""

    UNCONFIRMED = auto()
    """It has accepted no recipient yet, or no longer does."""
    DOUBTED = auto()
    """It accepted recipients a moment ago, and none on new connections since."""
    CONFIRMED = auto()


@value(frozen=True, slots=True)
class SmtpReply:
    """A relay's reply: a three-digit code and a text, possibly of several lines."""

    code: int
    text: str

    @property
    def positive(self) -> bool:
        """Whether it is a positive completion reply (RFC 5321, 4.2.1)."""
        return 200 <= self.code < 300

    @property
    def negative(self) -> bool:
        """Whether it is a transient or permanent negative completion reply."""
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
class Diagnosis:
    """What a failure means."""

    error: type[DeliveryError]
    meaning: str
    remedy: str = ""
    """What an operator can do."""
    doubtful: bool = False
    """Whether it may concern only this mail, although the reply seems to concern us."""
    suppress: Suppression | None = None
    """Why nothing more should be sent to the recipient."""


def malformed_reply(stage: Stage) -> Diagnosis:
    """The diagnosis of a malformed reply."""
    return Diagnosis(_unfinished(stage), "the relay sent a malformed reply")


def connection_lost(stage: Stage) -> Diagnosis:
    """The diagnosis of a lost connection."""
    return Diagnosis(_unfinished(stage), "the connection to the relay was lost")


def timed_out(stage: Stage) -> Diagnosis:
    """The diagnosis of a timeout."""
    if stage is Stage.WAITING:
        return Diagnosis(OutOfService, "no connection to the relay became free in time")
    return Diagnosis(_unfinished(stage), "the relay did not reply in time")


def _unfinished(stage: Stage) -> type[DeliveryError]:
    return OutcomeUnknown if stage is Stage.PAYLOAD else Unavailable
