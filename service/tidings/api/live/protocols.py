"""uvicorn's protocols, so that no client fills the memory, and no connection keeps its own when it has ended.

A reference cycle would keep it until Python collects garbage, which a process that serves does seldom (`collect_seldom`).
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

HEAD_WITHIN: Final = 20.0
"""Seconds for a connection's first request line and headers; a later request has the time of an idle connection."""
LONGEST_HEAD: Final = 64 * 1024
"""Bytes of them, and as many more as one read brings."""


class HttpProtocol(HttpToolsProtocol):
    """HTTP, until a connection becomes a WebSocket.

    uvicorn waits without end for a request that has begun, and for the first, and keeps headers of any number: some
    thousand connections that say nothing would take up every file that the process may open.
    """

    _head_bytes: int | None = None
    """Of the request that has begun; None while there is none, or its headers are complete."""
    _idle = True
    """Whether no headers are complete since the connection was made, or the last reply."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, for a while."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            HEAD_WITHIN, self.timeout_keep_alive_handler
        )

    def _unset_keepalive_if_required(self) -> None:
        """That something comes is no request."""
        if not self._idle or self.transport.is_closing():
            super()._unset_keepalive_if_required()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What is left of it is its body."""
        self._idle, self._head_bytes = False, None
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next may come."""
        super().on_response_complete()
        self._idle = True

    def data_received(self, data: bytes) -> None:
        """Read on, unless the headers have no end."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The request's headers are too large.")

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as when a connection is lost; it refers to this object


class SocketProtocol(WebSocketsSansIOProtocol):
    """A WebSocket."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        super().connection_lost(exc)
        self.conn.parser.close()  # a generator, whose frame refers to what it belongs to

    def handle_ping(self) -> None:
        """Answer, unless answers wait already: for a client that pings and reads nothing they would fill the memory."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_cont(self, event: Frame) -> None:
        """Keep a part of a message; one without content, of which a message may have any number, counts for nothing."""
        if event.data or event.fin:
            super().handle_cont(event)
