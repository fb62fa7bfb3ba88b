"""uvicorn's protocols, so that a live connection leaves no reference cycle behind when it ends.

Each would keep its memory until Python collects garbage, which a process that serves does seldom (`collect_seldom`).
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


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
