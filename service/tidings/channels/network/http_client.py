"""HTTP client for channels: one request, one response, and whether the request was sent."""

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

from tidings.channels.network.bounded_http import BoundedConnector, ExcessiveResponse
from tidings.channels.network.public_addresses import CheckedResolver, RefusedAddress, public_socket
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
"""Seconds to connect at most; never more than half of a request's timeout, so that a slow
handshake leaves time for the response."""


_AT_ONCE: Final = 65_536
"""Bytes of a body written at once: more would block the loop, and be in memory twice."""
_IN_THAT_MOMENT: Final = 1.0
"""Seconds within which a failed kept connection counts as closed by the server before it read the request."""


@dataclass(slots=True)
class RequestProgress:
    """How far a request has come."""

    sent: bool = False
    """Its first byte may have been sent, in either attempt."""
    kept: bool = False
    """It uses a connection kept alive from an earlier request."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to a request."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    """Truncated if it was longer than `max_body` or ended early."""


class HttpClient:
    """Sends requests over pooled connections, without redirects, proxies, cookies or decompression.

    Args:
        provider: Named in errors.
        keepalive: Seconds an idle connection is kept. Less than servers keep theirs: a request
            over a connection that is being closed has an unknown outcome.
        public_only: Refuse to connect to addresses that are not public.
        resolver: Used instead of the system's resolver; closed with the client.
        tls: Used instead of the system's certificate authorities.
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
        """One with kept-alive connections, and one with a new connection for each request."""
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Sequence[bytes | memoryview] = b"",
        timeout: float,
        max_body: int,
        body_within: float = math.inf,
        repeatable: bool = False,
    ) -> HttpResponse:
        """Send a request and read at most `max_body` bytes of the response body, all within `timeout` seconds.

        The URL is sent unchanged: it may be signed or contain a token. Once a status has been received it
        counts, even if the body is incomplete.

        Args:
            body_within: Seconds that the body may take once the status has been received.
            repeatable: It may arrive twice. If the server closes a kept connection at the moment the request
                is sent, it is sent once more at once over a new one (RFC 9112 §9.3.1).

        Raises:
            Rejected: The URL is invalid, or resolves to a refused address.
            Unavailable: The request was not sent.
            LocalShortage: It was not sent, because this machine lacks a resource.
            OutcomeUnknown: It may have been sent.
        """
        loop = asyncio.get_running_loop()
        target = self._target(url)
        began, progress = loop.time(), RequestProgress()
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
        return await _read_response(response, max_body, min(deadline, loop.time() + body_within))

    def _target(self, url: str) -> URL:
        """The URL, unchanged. yarl doesn't check an address literal in it then."""
        try:
            target = URL(url, encoded=True)
            if ":" in (target.raw_host or ""):
                ip_address(target.raw_host or "")
        except ValueError:
            raise failure(aiohttp.InvalidURL(url), sent=False, provider=self._provider) from None
        return target

    @contextmanager
    def _translated(self, progress: RequestProgress) -> Iterator[None]:
        """Translate aiohttp's exceptions to ours."""
        try:
            yield
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            # The error's own text contains the URL: neither shown nor chained.
            if not progress.sent:
                self._raise_local_shortage(error)
            raise failure(error, sent=progress.sent, provider=self._provider) from None
        except Exception as error:
            if not progress.sent:
                self._raise_local_shortage(error)
                raise
            # Once the request is sent, not even a bug of our own may cause a retry.
            raise OutcomeUnknown(
                f"{type(error).__name__} after the request was sent; it may have arrived",
                provider=self._provider,
            ) from error

    def _raise_local_shortage(self, error: Exception) -> None:
        """Raise `LocalShortage` if this process lacks files, memory or threads."""
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
        """Not in the constructor: both need the running loop."""
        self._resolver = self._resolver or SystemResolver()
        connector = BoundedConnector(
            # The worker bounds the sends; waiting here would use up their timeout.
            limit=0,
            keepalive_timeout=None if fresh else self._keepalive,
            force_close=fresh,
            resolver=CheckedResolver(self._resolver, public_only=self._public_only),
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
    # Otherwise aiohttp rounds timeouts of more than five seconds up to a full second.
    return aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf)


def _tracing() -> aiohttp.TraceConfig:
    """Marks a request as sent just before its first byte is written, and whether it uses a kept connection."""

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
    """Whether no byte of a response was received."""
    return isinstance(getattr(error, "message", ""), str)  # otherwise the partial response


async def _read_response(
    response: aiohttp.ClientResponse, max_body: int, deadline: float
) -> HttpResponse:
    body = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            while chunk := await response.content.read(max_body - len(body)):
                body += chunk
    except (aiohttp.ClientError, OSError):
        pass  # the status counts; a caller that needs the body notices that it is truncated
    finally:
        # A connection whose response was read to its end is already back in the pool.
        response.close()
    return HttpResponse(response.status, response.headers, bytes(body))


def failure(error: Exception, *, sent: bool, provider: str) -> DeliveryError:
    """Our error for one of aiohttp's, depending on whether the request was sent."""
    text = _describe(error, sent=sent)
    if sent:
        return OutcomeUnknown(f"{text}; it may have arrived", provider=provider)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError | UnicodeError):
        return Rejected(text, provider=provider)
    if isinstance(getattr(error, "os_error", error), RefusedAddress):
        return Rejected(text, provider=provider)
    return Unavailable(text, provider=provider)


def _describe(error: Exception, *, sent: bool) -> str:  # noqa: C901, PLR0911  # a table, read top down
    match error:
        case TimeoutError():
            return "no response in time" if sent else "no connection in time"
        case aiohttp.ClientConnectorCertificateError():
            return (
                "its TLS certificate is invalid: wrong name, expired, or from an unknown authority"
            )
        case aiohttp.ClientSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientConnectorError(os_error=RefusedAddress()):
            return "the URL resolves to a non-public address, which is not allowed"
        case aiohttp.ClientConnectorDNSError():
            return "its host name does not resolve"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return "the URL is invalid: its host is not a host name or an address"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without a response"
        case ExcessiveResponse():
            return f"the server sent {error}"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the response was not valid HTTP"
        case OSError(errno=int() as number):
            return f"the connection failed: {os.strerror(number)}"
        case _:
            return f"the connection failed ({type(error).__name__})"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds in Retry-After (RFC 9110 §10.2.3: a number or a date); None without one."""
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
