"""Bounds what a server may send besides the body that is read: replies before the reply, headers, framing.

aiohttp passes informational replies over for as long as they come, and keeps a few hundred bytes of each until it
has got to it: some megabytes a second of them are gigabytes in a worker's memory, and all of its time.
"""

import asyncio
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

INFORMATIONAL: Final = 16
"""Replies of 1xx before the reply itself (RFC 9110 §15.2 sets no limit; servers send one or two)."""
HEAD: Final = 64 * 1024
"""Bytes until the reply's headers end, informational replies included."""
FRAMING: Final = 64 * 1024
"""Bytes beside the body, where that comes in chunks: sizes, extensions, trailers."""
PER_BYTE: Final = 8
"""More of them for each byte of the body: one in a chunk of its own has five."""
_AT_ONCE: Final = 4096
"""Bytes of a head that are read before it is looked at again; most replies to a webhook are shorter."""


class TooMuch(aiohttp.ClientPayloadError):
    """A server sends more than it may before or beside the body of its reply."""


class BoundedProtocol(ResponseHandler):
    """One connection, which is hung up on where its server goes too far."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = 0
        self._before = 0
        """Informational replies."""
        self._body: StreamReader | None = None
        """Of the reply; None until its headers have come."""

    def set_response_params(self, **params: Any) -> None:
        """Another request begins."""
        self._received = self._before = 0
        self._body = None
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of a reply; whoever waits for it need not hear of informational ones."""
        message, body = data
        if 100 <= message.code < 200 and message.code != 101:
            self._before += 1
        else:
            self._body = body
            super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Read on, as far as there is a bound to it."""
        if data and self._body is not None and self._body.is_eof():
            self._hang_up("bytes that nobody asked for")
            return
        while self._body is None and len(data) > _AT_ONCE:
            self._read(data[:_AT_ONCE])
            if not self.is_connected():
                return
            data = data[_AT_ONCE:]
        self._read(data)

    def _read(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        body = self._body
        if body is None:
            if self._before > INFORMATIONAL:
                self._hang_up(f"more than {INFORMATIONAL} informational replies (1xx)")
            elif self._received > HEAD:
                self._hang_up(f"more than {HEAD // 1024} KiB of headers")
        elif self._received > HEAD + FRAMING + (1 + PER_BYTE) * body.total_bytes:
            self._hang_up("hardly anything but the framing of chunks")

    def _hang_up(self, sent: str) -> None:
        error = TooMuch(sent)
        self.set_exception(error)
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """Connects as aiohttp does, and reads with bounds. Takes the same arguments."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        factory: partial[Any] = partial(BoundedProtocol, loop=asyncio.get_running_loop())
        self._factory = factory
