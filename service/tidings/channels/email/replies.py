"""What a relay's reply, or its silence, means for a notification: a table, read from top to bottom.

Sources: RFC 5321 (4.2, 4.3.2: reply codes), RFC 3463 and RFC 5248 (enhanced status codes), RFC 4954
(6: authentication), RFC 3207 (4: STARTTLS), RFC 1870 (6: size), RFC 6531 (3.5: SMTPUTF8), RFC 7504
(521), and for rates the SMTP error references of Gmail, Exchange Online and Amazon SES.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
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


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; `codes` and `words` are regular expressions."""

    stages: frozenset[Stage]
    codes: str
    """Matches the whole of `Reply.codes`."""
    reading: Reading
    words: str = ""
    """Has to occur in the reply's text."""

    def covers(self, stage: Stage, reply: Reply) -> bool:
        """Whether it is about this reply."""
        return (
            stage in self.stages
            and re.fullmatch(self.codes, reply.codes) is not None
            and re.search(self.words, reply.text, re.IGNORECASE) is not None
        )


def _from(first: Stage, last: Stage) -> frozenset[Stage]:
    return frozenset(stage for stage in Stage if first <= stage <= last)


_ANY = _from(Stage.CONNECT, Stage.PAYLOAD)
_OPENING = _from(Stage.CONNECT, Stage.TLS)
_HELLO = frozenset({Stage.HELLO})
_LOGIN = frozenset({Stage.LOGIN})
_MAIL = _from(Stage.SENDER, Stage.PAYLOAD)
_COMMANDS = _from(Stage.SENDER, Stage.DATA)
_SENDER = frozenset({Stage.SENDER})
_RECIPIENT = frozenset({Stage.RECIPIENT})

_RATES: Final = (
    r"\brate\b|throttl|too (many|much|fast)(?! recipients)|slow down"
    r"|(sending|daily|hourly|message|connections?).{0,20}(limit|quota)"
)
_RATE = Reading(Throttled, "the relay limits our rate")
_PASSWORD = Reading(
    Misconfigured, "the relay wants the account's password changed", "log in to it and change it"
)
_LOG_IN = Reading(
    Misconfigured,
    "the relay wants a login that it accepts",
    "check TIDINGS_EMAIL_USERNAME, TIDINGS_EMAIL_PASSWORD and TIDINGS_EMAIL_TLS",
)
_GREET = Reading(
    Misconfigured, "the relay does not accept the name we greet with", "set TIDINGS_EMAIL_HELO"
)
_MACHINE = Reading(
    Misconfigured,
    "the relay refuses this machine",
    "check TIDINGS_EMAIL_HOST, TIDINGS_EMAIL_PORT and TIDINGS_EMAIL_TLS, and that this machine's "
    "address may use the relay",
)
_OUR_SENDER = Reading(
    Misconfigured,
    "the relay does not take mail from our sender",
    "check TIDINGS_EMAIL_SENDER, and that this account may send as it",
)
_THEIR_SENDER = Reading(
    Rejected, "the relay does not take mail from the from_address of the notification"
)
_TOO_LARGE = Reading(Rejected, "the mail is too large for the relay")
_INTERNATIONAL = Reading(
    Rejected, "an address has letters before its @ that the relay can't pass on (SMTPUTF8)"
)
_OUT_OF_STEP = Reading(Unavailable, "the conversation with the relay got out of step")
_BAD_RECIPIENT = Reading(Rejected, "the relay refuses the recipient")
_BAD_MAIL = Reading(Rejected, "the relay refuses the mail")
_NOT_NOW = Reading(Unavailable, "the relay can't take it now")

RULES: Final[tuple[Rule, ...]] = (
    # Rates. 4.7.28 is Gmail's, 4.7.5xx and 4.7.6xx are Exchange Online's.
    Rule(_ANY, r"4\d\d 4\.7\.(28|[56]\d\d)", _RATE),
    Rule(_ANY, r"4\d\d.*", _RATE, _RATES),
    # Who we are, before there is any mail: never a notification's fault.
    Rule(_LOGIN, r"432.*", _PASSWORD),
    Rule(_LOGIN, r"5\d\d.*", _LOG_IN),
    Rule(_HELLO, r"5\d\d.*", _GREET),
    Rule(_OPENING, r"5\d\d.*", _MACHINE),
    # Many servers ask for the login, or for TLS, only when there is a mail to refuse.
    Rule(_COMMANDS, r"53[0458].*", _LOG_IN),
    Rule(_RECIPIENT, r"5\d\d( 5\.7\.\d+)?", _LOG_IN, r"\brelay(ing)?\b"),
    # What is about this mail although it is said of the sender: its size, its alphabet.
    Rule(_MAIL, r"552( 5\.3\.4)?|5\d\d 5\.(3\.4|2\.3)", _TOO_LARGE),
    Rule(_MAIL, r"55[03] 5\.6\.7", _INTERNATIONAL),
    # A bad sequence means that we and the relay no longer speak of the same mail.
    Rule(_MAIL, r"503.*", _OUT_OF_STEP),
    Rule(_SENDER, r"5\d\d.*", _OUR_SENDER),
    Rule(_RECIPIENT, r"5\d\d.*", _BAD_RECIPIENT),
    Rule(_MAIL, r"5\d\d.*", _BAD_MAIL),
    Rule(_ANY, r"4\d\d.*", _NOT_NOW),
)


def refusal(stage: Stage, reply: Reply, *, override: bool = False) -> Reading:
    """What a reply that is no success means.

    Args:
        stage: What it answers.
        reply: With addresses taken out: one may hold a word that the table looks for.
        override: Whether the notification named its own sender: then it is to blame for it.
    """
    reading = next((rule.reading for rule in RULES if rule.covers(stage, reply)), None)
    if reading is None:
        return nonsense(stage)
    return _THEIR_SENDER if override and reading is _OUR_SENDER else reading


def nonsense(stage: Stage) -> Reading:
    """What an answer means that is none."""
    return Reading(_unfinished(stage), "the relay answered what is no answer")


def lost(stage: Stage) -> Reading:
    """What a lost connection means."""
    return Reading(_unfinished(stage), "the connection to the relay was lost")


def late(stage: Stage) -> Reading:
    """What it means that time ran out."""
    if stage is Stage.WAITING:
        return Reading(Unavailable, "no connection to the relay became free in time")
    return Reading(_unfinished(stage), "the relay did not answer in time")


def _unfinished(stage: Stage) -> type[DeliveryError]:
    return OutcomeUnknown if stage is Stage.PAYLOAD else Unavailable
