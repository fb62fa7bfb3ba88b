"""Every exception that sending can raise is named, at every stage of a mail."""

import inspect
import socket
import ssl

import aiosmtplib
import pytest

from tidings.channels.email.connection_limits import NegativeReply, StaleConnection
from tidings.channels.email.failures import FAILURES, explain
from tidings.channels.email.pool import PoolClosed
from tidings.channels.email.replies import SmtpReply, Stage
from tidings.delivery.errors import DeliveryError, Misconfigured, OutcomeUnknown, Unavailable

EXAMPLES: dict[type[Exception], Exception] = {
    aiosmtplib.SMTPRecipientsRefused: aiosmtplib.SMTPRecipientsRefused([]),
    NegativeReply: NegativeReply(SmtpReply(550, "5.1.1 no")),
    **{
        each: each(550, "no", "anna@example.org")
        for each in (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused)
    },
}


def _example(kind: type[Exception]) -> Exception:
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    coded = issubclass(kind, aiosmtplib.SMTPResponseException)
    return kind(550, "no") if coded else kind("no")


def _vendors() -> list[type[Exception]]:
    everything = (each for _, each in inspect.getmembers(aiosmtplib.errors, inspect.isclass))
    return [each for each in everything if issubclass(each, aiosmtplib.SMTPException)]


@pytest.mark.parametrize(
    "kind",
    [
        *_vendors(),
        OSError,
        TimeoutError,
        ssl.SSLError,
        ValueError,
        NegativeReply,
        StaleConnection,
        PoolClosed,
    ],
    ids=lambda kind: kind.__name__,
)
def test_is_named(kind: type[Exception]) -> None:
    for stage in Stage:
        found = explain(_example(kind), stage, str)

        assert issubclass(kind, FAILURES)
        assert issubclass(found.diagnosis.error, DeliveryError)
        assert found.sentence


def _unreached(cause: OSError) -> Exception:
    error = aiosmtplib.SMTPConnectError("no")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "expected", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Misconfigured, "TIDINGS_EMAIL_HOST"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), Unavailable, "later"),
        (ConnectionRefusedError(111, "refused"), Unavailable, "refused"),
        (OSError("several"), Unavailable, "is unreachable"),
        (ssl.SSLError(1, "[SSL] handshake failure"), Unavailable, "TLS"),
    ],
)
def test_a_relay_out_of_reach_is_told_by_what_keeps_it(
    cause: OSError, expected: type[DeliveryError], words: str
) -> None:
    found = explain(_unreached(cause), Stage.CONNECT, str)

    assert found.diagnosis.error is expected
    assert words in found.sentence


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), OSError("lost"), aiosmtplib.SMTPResponseException(-1, "gibberish")],
    ids=["late", "lost", "gibberish"],
)
def test_the_outcome_is_open_only_once_the_final_dot_is_out(error: Exception) -> None:
    open_at = [
        stage for stage in Stage if explain(error, stage, str).diagnosis.error is OutcomeUnknown
    ]

    assert open_at == [Stage.PAYLOAD]


def test_gibberish_is_never_repeated() -> None:
    error = aiosmtplib.SMTPResponseException(-1, "Malformed SMTP response line: secret")

    sentences = [explain(error, stage, str).sentence for stage in Stage]

    assert not any("secret" in each for each in sentences)
