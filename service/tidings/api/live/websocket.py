"""`WS /v1/inbox/ws`: an inbox on a WebSocket."""

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from tidings.api.live.admission import LiveAdmission
from tidings.api.live.frames import token_frame
from tidings.api.live.peer import Peer
from tidings.inbox.connection import CloseCode, Frame, LiveConnection, LiveRefusal
from tidings.inbox.hub import Hub
from tidings.inbox.measured import LiveMetrics

PATH: Final = "/v1/inbox/ws"
KIND: Final = "websocket"
START_WITHIN: Final = 10.0
"""Seconds for a client's first frame."""
HEARTBEAT: Final = '{"type":"heartbeat"}'
FAREWELL: Final = 5.0
"""Seconds for a close frame to be written, and for the client to answer it; then the connection is cut."""


class WebSocketOutlet:
    """The way to a client that reads a WebSocket.

    Args:
        send: Of the server.
    """

    __slots__ = ("_peer", "_send")
    kind = KIND

    def __init__(self, send: Send) -> None:
        self._send = send
        self._peer = Peer(send)
        self._peer.limit_buffers()

    async def send(self, frame: Frame) -> None:
        """Send it."""
        await self._text(frame.json)

    async def heartbeat(self) -> None:
        """Send a sign of life."""
        await self._text(HEARTBEAT)

    async def _text(self, text: str) -> None:
        self._peer.check()
        await self._send({"type": "websocket.send", "text": text})
        await self._peer.drained()

    async def close(self, code: CloseCode) -> None:
        """Say why, and end the connection: one whose client reads nothing is cut."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(FAREWELL):
                await self._peer.drained()
                await self._send(
                    {"type": "websocket.close", "code": int(code), "reason": code.reason}
                )
        except OSError:
            self._peer.abort()
        else:
            loop.call_later(FAREWELL, self._peer.abort)


class InboxSockets:
    """Serves WebSockets.

    Args:
        hub: Follows the inboxes.
        admission: Lets users in.
        metrics: Of live connections.
    """

    def __init__(self, hub: Hub, admission: LiveAdmission, metrics: LiveMetrics) -> None:
        self._hub = hub
        self._admission = admission
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until its end."""
        await receive()  # `websocket.connect`
        if scope["path"] != PATH:
            await _answer_not_found(send)
            return
        await send({"type": "websocket.accept"})
        outlet = WebSocketOutlet(send)
        try:
            connection = await self._start(scope, receive, outlet)
        except LiveRefusal as refusal:
            await outlet.close(refusal.code)
            self._metrics.closed(KIND, refusal.code)
        except _Left:
            self._metrics.closed(KIND, None)
        else:
            await self._follow(connection, receive)

    async def _start(
        self, scope: Scope, receive: Receive, outlet: WebSocketOutlet
    ) -> LiveConnection:
        with self._hub.starting():
            started = await self._admission.of_handshake(scope)
            if started is None:
                async with self._hub.patience(START_WITHIN):
                    text = await _text_of(receive)
                started = await self._admission.of_frame(text)
        return self._hub.join(started.access, outlet, started.since)

    async def _follow(self, connection: LiveConnection, receive: Receive) -> None:
        """Read what the client sends, until the connection has ended."""
        try:
            while True:
                await self._prolong(connection, await _text_of(receive))
        except LiveRefusal as refusal:
            self._hub.close(connection, refusal.code)
            await _end_of(receive)
        except _Left:
            pass
        finally:
            self._hub.leave(connection)
            self._metrics.closed(KIND, connection.closed_with)

    async def _prolong(self, connection: LiveConnection, text: str) -> None:
        self._hub.prolong(connection, await self._admission.of_token(token_frame(text)))


class _Left(Exception):
    """The connection has ended."""


async def _text_of(receive: Receive) -> str:
    message = await receive()
    if message["type"] == "websocket.disconnect":
        raise _Left
    text: str | None = message.get("text")
    if text is None:
        raise LiveRefusal(CloseCode.BAD_FRAME)
    return text


async def _end_of(receive: Receive) -> None:
    """Wait for the end; what the client still sends is for nobody."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _answer_not_found(send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
