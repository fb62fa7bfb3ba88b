"""uvicorn's protocols, so that no client fills the memory, and no connection keeps its own when it has ended.

A reference cycle would keep it until Python collects garbage, which a process that serves does seldom (`collect_seldom`).
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame


class HttpProtocol(HttpToolsProtocol):
    """HTTP, until a connection becomes a WebSocket."""

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
