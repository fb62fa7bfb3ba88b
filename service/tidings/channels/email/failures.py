"""Explains failures of a relay: maps aiosmtplib's and the system's exceptions to ours."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiosmtplib import SMTPConnectError, SMTPException, SMTPResponseException

from tidings.channels.email import replies, reply_rules
from tidings.channels.email.connection_limits import NegativeReply, StaleConnection, reply_in
from tidings.channels.email.pool import PoolClosed
from tidings.channels.email.relay import SpeaksLMTP
from tidings.channels.email.replies import Diagnosis, RelayingState, SmtpReply, Stage
from tidings.delivery.errors import LocalShortage, Misconfigured, Unavailable
from tidings.runtime.shortage import shortage, shortage_text

FAILURES: Final = (
    NegativeReply,
    StaleConnection,
    PoolClosed,
    SpeaksLMTP,
    SMTPException,
    OSError,
    ValueError,
)
"""All exceptions that sending can raise; `TimeoutError` is an `OSError`."""

_CLOSED: Final = Diagnosis(Unavailable, "the channel has been closed")
_LMTP: Final = Diagnosis(
    Misconfigured,
    "the relay's port speaks LMTP, not SMTP",
    "set TIDINGS_EMAIL_PORT to its SMTP port: 587, 465 or 25",
)
_PLAINTEXT_REASONS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """What went wrong, with the relay's codes and redacted text."""

    diagnosis: Diagnosis
    codes: str = ""
    text: str = ""

    @property
    def what(self) -> str:
        """What went wrong, for people."""
        quoted = f"{self.codes} {self.text}".strip()
        return f"{self.diagnosis.meaning} ({quoted})" if quoted else self.diagnosis.meaning

    @property
    def sentence(self) -> str:
        """The same, with the remedy if there is one."""
        return f"{self.what}; {self.diagnosis.remedy}" if self.diagnosis.remedy else self.what


def explain(
    error: Exception,
    stage: Stage,
    redact: Callable[[str], str],
    *,
    redact_addresses: Callable[[str], str] | None = None,
    override: bool = False,
    relaying: RelayingState = RelayingState.UNCONFIRMED,
) -> Explanation:
    """What an exception at a stage means.

    Args:
        redact: Removes addresses and content from a reply.
        redact_addresses: Removes addresses only; the result is matched against the rules. By default
            `redact`.
        override: Whether the notification names its own sender.
        relaying: Whether the relay relays for us, as far as is known.
    """
    reply = reply_in(error)
    if reply is None:
        what = shortage(error, chosen_by_us=True) if stage is Stage.CONNECT else None
        return Explanation(
            _diagnosis(error, stage)
            if what is None
            else Diagnosis(LocalShortage, shortage_text(what))
        )
    text = reply.text.removeprefix(reply.enhanced)
    understood = SmtpReply(reply.code, f"{reply.enhanced} {(redact_addresses or redact)(text)}")
    diagnosis = reply_rules.refusal(stage, understood, override=override, relaying=relaying)
    return Explanation(diagnosis, reply.codes, redact(text))


def _diagnosis(error: Exception, stage: Stage) -> Diagnosis:
    match error:
        case PoolClosed() | SpeaksLMTP():
            return _CLOSED if isinstance(error, PoolClosed) else _LMTP
        case StaleConnection():
            return replies.connection_lost(stage)
        case TimeoutError():
            return replies.timed_out(stage)
        case SMTPConnectError(__cause__=OSError() as error) | (OSError() as error):
            return _unreachable(error, stage)
        case SMTPResponseException() | ValueError():
            return replies.malformed_reply(stage)
        case _:
            return _not_offered(stage)


def _unreachable(error: OSError, stage: Stage) -> Diagnosis:
    match error:
        case ssl.SSLCertVerificationError():
            return Diagnosis(
                Misconfigured,
                f"the relay's certificate is not trusted ({error.verify_message})",
                "set TIDINGS_EMAIL_CA_FILE to the certificate authority that signed it, and "
                "TIDINGS_EMAIL_HOST to a name in the certificate",
            )
        case ssl.SSLError(reason=reason) if reason in _PLAINTEXT_REASONS:
            return Diagnosis(
                Misconfigured,
                "the relay does not speak implicit TLS",
                "set TIDINGS_EMAIL_TLS=starttls, or TIDINGS_EMAIL_PORT to its port for implicit TLS",
            )
        case ssl.SSLError():
            return Diagnosis(Unavailable, f"TLS with the relay failed ({error.strerror})")
        case socket.gaierror(errno=socket.EAI_NONAME):
            return Diagnosis(
                Misconfigured, "the relay's host name does not exist", "check TIDINGS_EMAIL_HOST"
            )
        case _ if stage is Stage.CONNECT:
            reason = f" ({error.strerror})" if error.strerror else ""
            return Diagnosis(Unavailable, f"the relay is unreachable{reason}")
        case _:
            return replies.connection_lost(stage)


def _not_offered(stage: Stage) -> Diagnosis:
    """For aiosmtplib's bare exceptions: the relay does not offer an extension that the settings require."""
    match stage:
        case Stage.TLS:
            return Diagnosis(
                Misconfigured,
                "the relay does not offer STARTTLS",
                "set TIDINGS_EMAIL_TLS=implicit if it uses implicit TLS; "
                "`none` is only for a relay on this machine",
            )
        case Stage.LOGIN:
            return Diagnosis(
                Misconfigured,
                "the relay offers no supported authentication mechanism",
                "unset TIDINGS_EMAIL_USERNAME if it needs no login; otherwise check "
                "TIDINGS_EMAIL_TLS, as many relays offer AUTH only over TLS",
            )
        case _:
            return replies.connection_lost(stage)
