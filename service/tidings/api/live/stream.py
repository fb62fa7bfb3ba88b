"""`GET /v1/inbox/stream`: an inbox as Server-Sent Events (WHATWG HTML, 9.2)."""

import asyncio
import json
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tidings.api.live.admission import access_of
from tidings.api.live.peer import Peer
from tidings.api.principal import EndUser
from tidings.api.problems import RATE_LIMITED, RETRY_AFTER, ApiProblem, unavailable
from tidings.inbox.connection import CloseCode, Frame, LiveConnection, LiveRefusal
from tidings.inbox.hub import Hub
from tidings.inbox.measured import LiveMetrics

PATH: Final = "/v1/inbox/stream"
PEER: Final = "tidings.peer"
"""Where the request's scope has its connection."""
KIND: Final = "sse"
MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT: Final = b": heartbeat\n\n"
FAREWELL: Final = 5.0
"""Seconds for the last event to be written; then the connection is cut."""


class StreamOutlet:
    """The way to a client that reads events. Its first frame waits for the reply to begin."""

    __slots__ = ("_begun", "_first", "_peer", "_send")
    kind = KIND

    def __init__(self) -> None:
        self._first: asyncio.Future[CloseCode | None] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self._send: Send | None = None
        self._peer: Peer | None = None

    async def ready(self) -> None:
        """Wait for the first frame.

        Raises:
            LiveRefusal: There will be none.
        """
        if (code := await self._first) is not None:
            raise LiveRefusal(code)

    async def begin(self, send: Send, peer: Peer) -> None:
        """Begin the reply."""
        peer.limit_buffers()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (
                b"cache-control",
                b"no-store, no-transform",
            ),  # a proxy that compresses holds events back
            (b"x-accel-buffering", b"no"),  # for nginx
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._send, self._peer = send, peer
        self._begun.set()

    async def send(self, frame: Frame) -> None:
        """Send it."""
        await self._write(event(frame.type, frame.json, frame.revision))

    async def heartbeat(self) -> None:
        """Send a sign of life."""
        await self._write(HEARTBEAT)

    async def close(self, code: CloseCode) -> None:
        """Say why, and end the reply: the connection of a client that reads nothing is cut."""
        if not self._first.done():
            self._first.set_result(code)
            return
        data = {"type": "close", "code": int(code), "reason": code.reason}
        try:
            async with asyncio.timeout(FAREWELL):
                await self._write(event("close", json.dumps(data, separators=(",", ":"))), end=True)
        except OSError:
            if self._peer is not None:
                self._peer.abort()

    async def _write(self, body: bytes, *, end: bool = False) -> None:
        if not self._first.done():
            self._first.set_result(None)
        await self._begun.wait()
        assert self._send is not None  # noqa: S101  # it has begun
        assert self._peer is not None  # noqa: S101  # likewise
        self._peer.check()
        if end:
            await self._peer.drained()
        await self._send({"type": "http.response.body", "body": body, "more_body": not end})
        if not end:
            await self._peer.drained()


class InboxStream(Response):
    """The reply.

    Args:
        hub: Follows the inbox.
        connection: Of the client.
        outlet: Its.
        metrics: Of live connections.
    """

    def __init__(
        self, hub: Hub, connection: LiveConnection, outlet: StreamOutlet, metrics: LiveMetrics
    ) -> None:
        super().__init__()
        self._hub = hub
        self._connection = connection
        self._outlet = outlet
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it until its end."""
        try:
            await self._outlet.begin(send, scope[PEER])
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._hub.leave(self._connection)
            self._metrics.closed(KIND, self._connection.closed_with)


class InboxStreams:
    """Serves streams.

    Args:
        hub: Follows the inboxes.
        metrics: Of live connections.
    """

    def __init__(self, hub: Hub, metrics: LiveMetrics) -> None:
        self._hub = hub
        self._metrics = metrics

    async def open(self, user: EndUser, since: int | None) -> InboxStream:
        """A user's stream, as soon as there is something to be sent.

        Args:
            since: The revision up to which the client knows the inbox; None: not at all.

        Raises:
            ApiProblem: There are too many, or PostgreSQL is unavailable.
        """
        outlet = StreamOutlet()
        try:
            with self._hub.starting():
                connection = self._hub.join(access_of(user), outlet, since)
            try:
                await outlet.ready()
            except BaseException:
                self._hub.leave(connection)
                raise
        except LiveRefusal as refusal:
            self._metrics.closed(KIND, refusal.code)
            raise _problem(refusal) from None
        return InboxStream(self._hub, connection, outlet, self._metrics)


def event(type_: str, data: str, id_: int | None = None) -> bytes:
    """One event."""
    id_line = "" if id_ is None else f"id: {id_}\n"
    return f"event: {type_}\n{id_line}data: {data}\n\n".encode()


def _problem(refusal: LiveRefusal) -> ApiProblem:
    if refusal.code is CloseCode.TOO_MANY:
        return ApiProblem(
            RATE_LIMITED,
            "this user has too many live connections here; close one",
            headers={"Retry-After": str(RETRY_AFTER)},
        )
    return unavailable("no live connection is possible now; try again")
