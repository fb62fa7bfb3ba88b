"""Speaks HTTP for channels: one request, one reply, and the truth about whether it went out."""

import asyncio
import math
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from tidings.channels.network.bounded_http import BoundedConnector, TooMuch
from tidings.channels.network.public_addresses import CarefulResolver, RefusedAddress, public_socket
from tidings.channels.network.system_resolver import SystemResolver
from tidings.delivery.errors import (
    DeliveryError,
    LocalShortage,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from tidings.runtime.shortage import shortage, shortage_text

_CONNECT_TIMEOUT: Final = 10.0
"""Seconds to connect in, at most; never more than half of a request's time, so that a slow
handshake leaves the reply a chance to arrive."""


_AT_ONCE: Final = 65_536
"""Bytes of a body that are written at once: larger ones would block the loop, and lie in memory twice."""
_IN_THAT_MOMENT: Final = 1.0
"""Seconds within which a kept connection was closed on both sides at once; later, somebody was at work."""


@dataclass(slots=True)
class Progress:
    """How far a request has come."""

    sent: bool = False
    """Its first byte may have gone out, of whichever try."""
    kept: bool = False
    """It goes over a connection that was kept from a request before."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    """Cut short where it was longer than asked for, or ended early."""


class HttpClient:
    """Sends requests over pooled connections: no redirects, proxies, cookies or decompression.

    Args:
        provider: Named in errors.
        keepalive: Seconds an idle connection is kept. Less than servers keep theirs: a request
            that meets a closing connection has an unknown outcome.
        public_only: Refuse to connect to addresses that are not public.
        resolver: Looks names up instead of the system's resolver; closed with the client.
        tls: Verifies servers instead of the system's authorities.
        chosen_by_us: Whether the servers come from our settings, and not from notifications.
    """

    def __init__(
        self,
        provider: str,
        *,
        keepalive: float,
        chosen_by_us: bool = False,
        public_only: bool = False,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._provider = provider
        self._chosen_by_us = chosen_by_us
        self._keepalive = keepalive
        self._public_only = public_only
        self._resolver = resolver
        self._tls = tls
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        """One that keeps connections, and one that makes a new one for each request."""
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Sequence[bytes | memoryview] = b"",
        timeout: float,
        max_reply: int,
        body_within: float = math.inf,
        repeatable: bool = False,
    ) -> Reply:
        """Send a request and read at most `max_reply` bytes of the answer, all within `timeout` seconds.

        The URL goes out as it is written: whoever signed it, or put a token into it, wants it so. Once a
        status has come it counts, however the body goes on.

        Args:
            body_within: Seconds that the body may take once the status has come.
            repeatable: It may arrive twice. One that meets a kept connection in the moment in which its
                server closes it is sent once more at once, over a new one (RFC 9112 §9.3.1).

        Raises:
            Rejected: The URL can't be used, or leads to an address that is refused.
            Unavailable: The request had not begun to go out.
            LocalShortage: It could not, for want of something of our own.
            OutcomeUnknown: It had.
        """
        loop = asyncio.get_running_loop()
        target = self._target(url)
        began, progress = loop.time(), Progress()
        deadline = began + timeout
        parts = (body,) if isinstance(body, bytes) else body
        large = (size := sum(map(len, parts))) > _AT_ONCE

        async def ask(session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
            async with asyncio.timeout_at(deadline):
                return await session.request(
                    method,
                    target,
                    headers={**headers, "Content-Length": str(size)} if large else headers,
                    data=_in_pieces(parts) if large else b"".join(parts) or None,
                    timeout=_timeouts(deadline - loop.time()),
                    allow_redirects=False,
                    trace_request_ctx=progress,
                )

        with self._translated(progress):
            try:
                response = await ask(self._opened())
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                at_once = loop.time() - began < _IN_THAT_MOMENT
                if not (repeatable and progress.kept and at_once and _unanswered(error)):
                    raise
                response = await ask(self._opened(fresh=True))
        return await _reply(response, max_reply, min(deadline, loop.time() + body_within))

    def _target(self, url: str) -> URL:
        """The URL as it is written. What is left unchecked by that is a literal address."""
        try:
            target = URL(url, encoded=True)
            if ":" in (target.raw_host or ""):
                ip_address(target.raw_host or "")
        except ValueError:
            raise failure(aiohttp.InvalidURL(url), sent=False, provider=self._provider) from None
        return target

    @contextmanager
    def _translated(self, progress: Progress) -> Iterator[None]:
        """Raises whatever aiohttp raises as an error of ours."""
        try:
            yield
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # The error's own text has the URL in it: neither shown nor chained.
            if not progress.sent:
                self._unless_hampered(error)
            raise failure(error, sent=progress.sent, provider=self._provider) from None
        except Exception as error:
            if not progress.sent:
                self._unless_hampered(error)
                raise
            # Not even a fault of our own may turn into a retry once the request is out.
            raise OutcomeUnknown(
                f"{type(error).__name__} after the request went out; it may have arrived",
                provider=self._provider,
            ) from error

    def _unless_hampered(self, error: Exception) -> None:
        """Raises `LocalShortage` where it came of a want of our own."""
        if (what := shortage(error, chosen_by_us=self._chosen_by_us)) is not None:
            raise LocalShortage(shortage_text(what), provider=self._provider) from None

    async def close(self) -> None:
        """Close every connection; requests fail from now on."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        resolver, self._resolver = self._resolver, None
        for session in sessions.values():
            await session.close()
        if resolver is not None:
            await resolver.close()

    def _opened(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        if self._closed:
            raise Unavailable(
                "the channel was closed before this was sent", provider=self._provider
            )
        if fresh not in self._sessions:
            self._sessions[fresh] = self._open(fresh=fresh)
        return self._sessions[fresh]

    def _open(self, *, fresh: bool) -> aiohttp.ClientSession:
        """Here, not in the constructor: both need the running loop."""
        self._resolver = self._resolver or SystemResolver()
        connector = BoundedConnector(
            # The worker bounds how many sends run; waiting here would eat into their time.
            limit=0,
            keepalive_timeout=None if fresh else self._keepalive,
            force_close=fresh,
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


async def _in_pieces(body: Sequence[bytes | memoryview]) -> AsyncIterator[memoryview]:
    for part in body:
        view = memoryview(part)
        for start in range(0, len(view), _AT_ONCE):
            yield view[start : start + _AT_ONCE]


def _timeouts(timeout: float) -> aiohttp.ClientTimeout:
    connect = min(_CONNECT_TIMEOUT, timeout / 2)
    # Without this aiohttp rounds timeouts of over five seconds up to the loop's full second.
    return aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf)


def _tracing() -> aiohttp.TraceConfig:
    """Marks a request as sent just before its first byte is written, and whether a kept connection takes it."""

    async def sent(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        context.trace_request_ctx.sent = True

    async def kept(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceConnectionReuseconnParams,
    ) -> None:
        context.trace_request_ctx.kept = True

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(sent)
    tracing.on_connection_reuseconn.append(kept)
    return tracing


def _unanswered(error: Exception) -> bool:
    """Whether not one byte of an answer had come."""
    return isinstance(getattr(error, "message", ""), str)  # else what had come of one


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


def _described(error: Exception, *, sent: bool) -> str:  # noqa: C901, PLR0911  # a table, read top down
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
        case TooMuch():
            return f"instead of an answer came {error}"
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
