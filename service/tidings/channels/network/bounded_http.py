"""Bounds all parts of an HTTP response besides the body: informational responses, headers, chunk framing.

aiohttp skips any number of informational responses, and buffers a few hundred bytes of each until it parses it:
a few megabytes a second of them fill gigabytes of a worker's memory and use all of its CPU time.
"""

import asyncio
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

INFORMATIONAL: Final = 16
"""1xx responses before the final one (RFC 9110 §15.2 sets no limit; servers send one or two)."""
HEAD: Final = 64 * 1024
"""Bytes up to the end of the headers, informational responses included."""
FRAMING: Final = 64 * 1024
"""Bytes of chunk framing: sizes, extensions, trailers."""
PER_BYTE: Final = 8
"""Further bytes of framing for each byte of the body: a chunk of one byte has five."""
_AT_ONCE: Final = 4096
"""Bytes of a head that are parsed between two checks; most responses to a webhook are shorter."""


class ExcessiveResponse(aiohttp.ClientPayloadError):
    """A server sends too much before or beside the body of its response."""


class BoundedProtocol(ResponseHandler):
    """A connection that is aborted if its server exceeds a bound."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._received = 0
        self._before = 0
        """Informational responses."""
        self._body: StreamReader | None = None
        """The response's body; None until its headers are complete."""

    def set_response_params(self, **params: Any) -> None:
        """Another request begins."""
        self._received = self._before = 0
        self._body = None
        super().set_response_params(**params)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Pass on the head of a final response, and drop informational ones."""
        message, body = data
        if 100 <= message.code < 200 and message.code != 101:
            self._before += 1
        else:
            self._body = body
            super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, within the bounds."""
        if data and self._body is not None and self._body.is_eof():
            self._hang_up("bytes after the end of the response")
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
                self._hang_up(f"more than {INFORMATIONAL} informational responses (1xx)")
            elif self._received > HEAD:
                self._hang_up(f"more than {HEAD // 1024} KiB of headers")
        elif self._received > HEAD + FRAMING + (1 + PER_BYTE) * body.total_bytes:
            self._hang_up("almost only chunk framing")

    def _hang_up(self, sent: str) -> None:
        error = ExcessiveResponse(sent)
        self.set_exception(error)
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """aiohttp's connector, whose connections are bounded. Takes the same arguments."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        factory: partial[Any] = partial(BoundedProtocol, loop=asyncio.get_running_loop())
        self._factory = factory
