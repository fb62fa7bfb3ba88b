"""One WebSocket of a client that costs next to nothing: ten thousand of them must not be what is measured."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import Callable
from typing import Any, Final, cast

CONTINUATION, TEXT, CLOSE, PING = 0x0, 0x1, 0x8, 0x9
FINAL: Final = 0x80
PONG: Final = b"\x8a\x80\x00\x00\x00\x00"


class InboxSocket(asyncio.Protocol):
    """Starts with a frame, and passes on what it is sent.

    Args:
        host: For the handshake.
        start: Its first frame.
        receive: Called with each frame of the server, read as JSON.
        lost: Called when the connection ends, with the reason.
    """

    __slots__ = ("_buffer", "_host", "_lost", "_open", "_receive", "_start", "transport")

    def __init__(
        self,
        host: str,
        start: bytes,
        receive: Callable[[dict[str, Any]], None],
        lost: Callable[[str], None],
    ) -> None:
        self._host = host
        self._start = start
        self._receive = receive
        self._lost = lost
        self._open = False
        self._buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /v1/inbox/ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of it."""
        self._lost(repr(exc) if exc else "closed")

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self._buffer += data
        if not self._open and not self._upgraded():
            return
        while (frame := self._next()) is not None:
            opcode, payload = frame
            match opcode:
                case 0x1:
                    self._receive(json.loads(payload))
                case 0x8:
                    self._receive({"type": "closed", "code": struct.unpack(">H", payload[:2])[0]})
                case 0x9 if self.transport is not None:
                    self.transport.write(PONG)  # our pings carry nothing that is looked at

    def _upgraded(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        assert self.transport is not None
        if not head.startswith(b"HTTP/1.1 101 "):
            self._lost(head[:40].decode("latin-1"))
            self.transport.abort()
            return False
        self._open, self._buffer = True, rest
        self.transport.write(masked(self._start))
        return True

    def _next(self) -> tuple[int, bytes] | None:
        """The next whole frame: its opcode and payload."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, begins = buffer[1], 2
        if length == 126:
            length, begins = int.from_bytes(buffer[2:4], "big"), 4
        elif length == 127:
            length, begins = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < begins + length:
            return None
        self._buffer = buffer[begins + length :]
        return buffer[0] & 0x0F, buffer[begins : begins + length]


def masked(payload: bytes) -> bytes:
    """A text frame of a client; the mask of zeros changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", FINAL | TEXT, 0x80 | size)
    else:
        head = struct.pack(">BBH", FINAL | TEXT, 0x80 | 126, size)
    return head + bytes(4) + payload
