"""The connection behind a request, as uvicorn has it: whether its client reads, and its end whatever the client does.

ASGI has no word for either: `send` returns as soon as the bytes are in a buffer, and a connection whose client reads nothing is
closed only when that buffer is empty, which is never.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BUFFERED: Final = 16 * 1024
"""Bytes that may wait in this process for a client's connection before it counts as slow…"""
IN_THE_KERNEL: Final = 64 * 1024
"""… and about so many in the kernel, which would take megabytes otherwise."""


class Peer:
    """A client's connection.

    Args:
        send: What uvicorn gave to the application, not wrapped.
    """

    __slots__ = ("_drained", "_transport")

    def __init__(self, send: Send) -> None:
        owner = getattr(send, "__self__", None)
        self._drained: Callable[[], Awaitable[object]]
        match owner:
            case WebSocketsSansIOProtocol():
                self._drained = owner.writable.wait
            case RequestResponseCycle():
                self._drained = owner.flow.drain
            case _:
                raise TypeError(f"not a connection of uvicorn: {type(owner).__name__}")
        self._transport = owner.transport

    def limit_buffers(self) -> None:
        """Let little wait for a client that does not read."""
        self._transport.set_write_buffer_limits(high=BUFFERED)
        connected = self._transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, IN_THE_KERNEL)

    async def drained(self) -> None:
        """Wait until no more than `BUFFERED` bytes wait.

        Raises:
            ConnectionResetError: The connection is closed.
        """
        await self._drained()
        self.check()

    def check(self) -> None:
        """Raises ConnectionResetError if the connection is closed, or about to be."""
        if self._transport.is_closing():
            raise ConnectionResetError

    def abort(self) -> None:
        """Close it now."""
        self._transport.abort()
