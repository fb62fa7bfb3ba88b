"""Names what went wrong with a relay: aiosmtplib's and the system's exceptions become ours, here only."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosmtplib import SMTPConnectError, SMTPException, SMTPResponseException

from tidings.channels.email import replies, reply_rules
from tidings.channels.email.connection_limits import Refusal, Stale, reply_in
from tidings.channels.email.pool import Closed
from tidings.channels.email.relay import SpeaksLMTP
from tidings.channels.email.replies import Reading, Reply, Stage, Welcome
from tidings.delivery.errors import LocalShortage, Misconfigured, Unavailable
from tidings.runtime.shortage import said, shortage

TROUBLES: Final = (Refusal, Stale, Closed, SpeaksLMTP, SMTPException, OSError, ValueError)
"""Everything that sending can raise; `TimeoutError` is an `OSError`."""

_CLOSED: Final = Reading(Unavailable, "the channel has been closed")
_LMTP: Final = Reading(
    Misconfigured,
    "the relay's port is for local delivery (LMTP)",
    "set TIDINGS_EMAIL_PORT to the port on which it speaks SMTP: 587, 465 or 25",
)
_PLAINTEXT_REASONS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What went wrong, and in which words the relay said so."""

    reading: Reading
    codes: str = ""
    said: str = ""

    @property
    def what(self) -> str:
        """What went wrong, for people."""
        quoted = f"{self.codes} {self.said}".strip()
        return f"{self.reading.meaning} ({quoted})" if quoted else self.reading.meaning

    @property
    def sentence(self) -> str:
        """The same, and what to do about it where there is something."""
        return f"{self.what}; {self.reading.remedy}" if self.reading.remedy else self.what


def explain(
    trouble: Exception,
    stage: Stage,
    discretion: Callable[[str], str],
    *,
    hide: Callable[[str], str] | None = None,
    override: bool = False,
    welcome: Welcome = Welcome.NO,
) -> Explanation:
    """What an exception at some stage means.

    Args:
        discretion: Takes out of a reply what must not be told.
        hide: Takes out addresses only: by what it leaves the reply is understood. As `discretion` where
            there is none.
        override: Whether the notification named its own sender.
        welcome: Whether the relay passes mail on for us, as far as is known.
    """
    reply = reply_in(trouble)
    if reply is None:
        what = shortage(trouble, chosen_by_us=True) if stage is Stage.CONNECT else None
        return Explanation(
            _reading(trouble, stage) if what is None else Reading(LocalShortage, said(what))
        )
    text = reply.text.removeprefix(reply.enhanced)
    understood = Reply(reply.code, f"{reply.enhanced} {(hide or discretion)(text)}")
    reading = reply_rules.refusal(stage, understood, override=override, welcome=welcome)
    return Explanation(reading, reply.codes, discretion(text))


def _reading(trouble: Exception, stage: Stage) -> Reading:
    match trouble:
        case Closed() | SpeaksLMTP():
            return _CLOSED if isinstance(trouble, Closed) else _LMTP
        case Stale():
            return replies.lost(stage)
        case TimeoutError():
            return replies.late(stage)
        case SMTPConnectError(__cause__=OSError() as error) | (OSError() as error):
            return _unreachable(error, stage)
        case SMTPResponseException() | ValueError():
            return replies.nonsense(stage)
        case _:
            return _not_offered(stage)


def _unreachable(error: OSError, stage: Stage) -> Reading:
    match error:
        case ssl.SSLCertVerificationError():
            return Reading(
                Misconfigured,
                f"the relay's certificate is not trusted ({error.verify_message})",
                "set TIDINGS_EMAIL_CA_FILE to the authority that signed it, and "
                "TIDINGS_EMAIL_HOST to the name in it",
            )
        case ssl.SSLError(reason=reason) if reason in _PLAINTEXT_REASONS:
            return Reading(
                Misconfigured,
                "the relay does not speak TLS from the first byte",
                "set TIDINGS_EMAIL_TLS=starttls, or TIDINGS_EMAIL_PORT to its port for implicit TLS",
            )
        case ssl.SSLError():
            return Reading(Unavailable, f"TLS with the relay failed ({error.strerror})")
        case socket.gaierror(errno=socket.EAI_NONAME):
            return Reading(
                Misconfigured, "the relay's host name does not exist", "check TIDINGS_EMAIL_HOST"
            )
        case _ if stage is Stage.CONNECT:
            why = f" ({error.strerror})" if error.strerror else ""
            return Reading(Unavailable, f"the relay can't be reached{why}")
        case _:
            return replies.lost(stage)


def _not_offered(stage: Stage) -> Reading:
    """aiosmtplib's bare exceptions: the relay does not offer what we are set to use."""
    match stage:
        case Stage.TLS:
            return Reading(
                Misconfigured,
                "the relay does not offer STARTTLS",
                "set TIDINGS_EMAIL_TLS=implicit where it encrypts from the first byte; "
                "`none` is for a relay on this machine",
            )
        case Stage.LOGIN:
            return Reading(
                Misconfigured,
                "the relay offers no login that we know",
                "leave TIDINGS_EMAIL_USERNAME empty where it wants none; otherwise check "
                "TIDINGS_EMAIL_TLS, as many offer it only when encrypted",
            )
        case _:
            return replies.lost(stage)
