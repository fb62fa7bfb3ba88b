"""What aiohttp's errors become, for the channels that speak HTTP."""

import inspect
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import ClientResponseError, RequestInfo, client_exceptions
from aiohttp.client_exceptions import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    InvalidURL,
    ServerFingerprintMismatch,
    UnixClientConnectorError,
)
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tidings.channels.network.http_client import failure, retry_after
from tidings.channels.network.public_addresses import RefusedAddress
from tidings.delivery.errors import OutcomeUnknown, Rejected, Unavailable

HOST = "wilhelmina.example.org"
WHERE = URL(f"https://{HOST}/a-secret-path")
KEY = ConnectionKey(HOST, 443, True, True, None, None, None)
ERRORS = sorted(
    {
        value
        for value in vars(client_exceptions).values()
        if inspect.isclass(value) and issubclass(value, ClientError)
    },
    key=lambda kind: kind.__name__,
)


def made(kind: type[Any]) -> ClientError:
    """An error of aiohttp's, full of what must not be told."""
    broken = OSError(104, f"{HOST} hung up")
    if issubclass(kind, ClientConnectorCertificateError):
        return kind(KEY, ssl.CertificateError(f"not valid for {HOST}"))
    if issubclass(kind, UnixClientConnectorError):
        return kind(HOST, KEY, broken)
    if issubclass(kind, ClientConnectorError):
        return kind(KEY, broken)
    if issubclass(kind, ClientResponseError):
        headers = CIMultiDictProxy(CIMultiDict[str]())
        return kind(RequestInfo(WHERE, "POST", headers, WHERE), (), status=400, message=HOST)
    if issubclass(kind, ServerFingerprintMismatch):
        return kind(b"a", b"b", HOST, 443)
    return kind(str(WHERE)) if issubclass(kind, InvalidURL) else kind(f"{WHERE} failed")


def test_the_errors_of_aiohttp_are_all_here() -> None:
    assert len(ERRORS) > 25


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_of_aiohttp_becomes_one_of_ours(kind: type[ClientError]) -> None:
    before = failure(made(kind), sent=False, provider="p")
    after = failure(made(kind), sent=True, provider="p")

    assert type(before) in {Unavailable, Rejected}
    assert type(after) is OutcomeUnknown
    assert before.provider == after.provider == "p"


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("sent", [False, True])
def test_no_error_tells_where_it_was_going(kind: type[ClientError], sent: bool) -> None:
    text = str(failure(made(kind), sent=sent, provider=""))

    assert "wilhelmina" not in text.lower()
    assert "secret" not in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "no connection in time"),
        (
            ConnectionRefusedError(111, "Connect call failed"),
            "the connection failed: Connection refused",
        ),
        (ClientConnectorDNSError(KEY, socket.gaierror(-2, "?")), "its host name does not resolve"),
        (made(ClientConnectorCertificateError), "its TLS certificate is invalid"),
        (UnicodeError("label too long"), "the URL is invalid"),
    ],
)
def test_what_happened_is_said(error: Exception, text: str) -> None:
    assert text in failure(error, sent=False, provider="").message


@pytest.mark.parametrize("kind", [ClientConnectorError, ClientConnectorDNSError])
def test_an_address_that_is_refused_stays_refused(kind: type[ClientConnectorError]) -> None:
    assert type(failure(kind(KEY, RefusedAddress()), sent=False, provider="")) is Rejected


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0), ("7", 7), (" 120 ", 120), ("9" * 40, 999999999)]
)
def test_retry_after_may_be_a_number_of_seconds(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_retry_after_may_be_a_date() -> None:
    wanted = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert retry_after({"Retry-After": wanted}) == pytest.approx(90, abs=2)


@pytest.mark.parametrize("zone", ["GMT", "-0000", ""])
def test_a_date_that_has_passed_means_now(zone: str) -> None:
    assert retry_after({"Retry-After": f"Wed, 21 Oct 2015 07:28:00 {zone}"}) == 0


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "1.5", "²", "Wed, 99 Foo 2015 07:28:00 GMT", "0 Jan 0 0:10000000000 "],
)
def test_a_retry_after_that_makes_no_sense_is_none(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None


@given(
    st.text()
    | st.from_regex(
        r"\A(Wed, )?[0-9]{1,40} [A-Z][a-z]{2} [0-9]{1,9} [0-9]{1,9}:[0-9]+:[0-9]+ [+-]?[0-9A-Z]{1,30}\Z"
    )
)
def test_no_retry_after_breaks_us(value: str) -> None:
    wait = retry_after({"Retry-After": value})

    assert wait is None or wait >= 0
