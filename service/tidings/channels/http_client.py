"""Speaks HTTP for channels: one request, one reply, and the truth about whether it went out."""

import asyncio
import io
import math
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy

from tidings.channels.public_addresses import CarefulResolver, RefusedAddress, public_socket
from tidings.delivery.errors import DeliveryError, OutcomeUnknown, Rejected, Unavailable

_CONNECT_TIMEOUT: Final = 10.0
"""Seconds to connect in, at most; never more than half of a request's time, so that a slow
handshake leaves the reply a chance to arrive."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    """Cut short where it was longer than asked for, or ended early."""


class HttpClient:
    """Sends requests over pooled connections: no redirects, proxies, cookies, retries or decompression.

    Args:
        provider: Named in errors.
        keepalive: Seconds an idle connection is kept. Less than servers keep theirs: a request
            that meets a closing connection has an unknown outcome.
        public_only: Refuse to connect to addresses that are not public.
        resolver: Looks names up instead of the system's resolver; closed with the client.
        tls: Verifies servers instead of the system's authorities.
    """

    def __init__(
        self,
        provider: str,
        *,
        keepalive: float,
        public_only: bool = False,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._provider = provider
        self._keepalive = keepalive
        self._public_only = public_only
        self._resolver = resolver
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float,
        max_reply: int,
    ) -> Reply:
        """Send a request and read at most `max_reply` bytes of the answer, all within `timeout` seconds.

        Once a status has come it counts, however the body goes on.

        Raises:
            Rejected: The URL can't be used, or leads to an address that is refused.
            Unavailable: The request had not begun to go out.
            OutcomeUnknown: It had.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        progress = SimpleNamespace(sent=False)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._opened().request(
                    method,
                    url,
                    headers=headers,
                    # Bytes of more than a megabyte would block the loop, aiohttp warns.
                    data=None if body is None else io.BytesIO(body),
                    timeout=_timeouts(timeout),
                    allow_redirects=False,
                    trace_request_ctx=progress,
                )
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # The error's own text has the URL in it: neither shown nor chained.
            raise failure(error, sent=progress.sent, provider=self._provider) from None
        except Exception as error:
            if not progress.sent:
                raise
            # Not even a fault of our own may turn into a retry once the request is out.
            raise OutcomeUnknown(
                f"{type(error).__name__} after the request went out; it may have arrived",
                provider=self._provider,
            ) from error
        return await _reply(response, max_reply, deadline)

    async def close(self) -> None:
        """Close every connection; requests fail from now on."""
        self._closed = True
        session, self._session = self._session, None
        resolver, self._resolver = self._resolver, None
        if session is not None:
            await session.close()
        if resolver is not None:
            await resolver.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Unavailable(
                "the channel was closed before this was sent", provider=self._provider
            )
        if self._session is None:
            self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        """Here, not in the constructor: both need the running loop."""
        self._resolver = self._resolver or aiohttp.DefaultResolver()
        connector = aiohttp.TCPConnector(
            # The worker bounds how many sends run; waiting here would eat into their time.
            limit=0,
            keepalive_timeout=self._keepalive,
            resolver=CarefulResolver(self._resolver, public_only=self._public_only),
            socket_factory=public_socket if self._public_only else None,
            ssl=self._tls or True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            trace_configs=[_tracing()],
        )


def _timeouts(timeout: float) -> aiohttp.ClientTimeout:
    connect = min(_CONNECT_TIMEOUT, timeout / 2)
    # Without this aiohttp rounds timeouts of over five seconds up to the loop's full second.
    return aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf)


def _tracing() -> aiohttp.TraceConfig:
    """Marks a request as sent just before its first byte is written."""

    async def mark(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        context.trace_request_ctx.sent = True

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(mark)
    return tracing


async def _reply(response: aiohttp.ClientResponse, max_reply: int, deadline: float) -> Reply:
    body = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            while chunk := await response.content.read(max_reply - len(body)):
                body += chunk
    except (aiohttp.ClientError, OSError):
        pass  # the status stands; whoever needs the body sees that it is short
    finally:
        # A connection whose reply was read to its end has gone back to the pool by itself.
        response.close()
    return Reply(response.status, response.headers, bytes(body))


def failure(error: Exception, *, sent: bool, provider: str) -> DeliveryError:
    """Our error for one of aiohttp's, by whether the request had begun to go out."""
    said = _described(error, sent=sent)
    if sent:
        return OutcomeUnknown(f"{said}; it may have arrived", provider=provider)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | UnicodeError):
        return Rejected(said, provider=provider)
    if isinstance(getattr(error, "os_error", error), RefusedAddress):
        return Rejected(said, provider=provider)
    return Unavailable(said, provider=provider)


def _described(error: Exception, *, sent: bool) -> str:  # noqa: PLR0911  # a table, read top down
    match error:
        case TimeoutError():
            return "no answer in time" if sent else "no connection in time"
        case aiohttp.ClientConnectorCertificateError():
            return "its TLS certificate is not valid for it, or not from a known authority"
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientConnectorError(os_error=RefusedAddress()):
            return "the URL leads to an address that is not public, where nothing may be sent"
        case aiohttp.ClientConnectorDNSError():
            return "its host name does not resolve"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return "the URL can't be used: its host is not one"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer was not HTTP"
        case OSError(errno=int() as number):
            return f"the connection failed: {os.strerror(number)}"
        case _:
            return f"the connection failed ({type(error).__name__})"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds a server asks us to wait (RFC 9110 §10.2.3: a number, or a date); None if it didn't."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        wanted = parsedate_to_datetime(value)
        # A date without a zone is UTC: RFC 9110 allows no other.
        wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
        return max(0.0, (wanted - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
