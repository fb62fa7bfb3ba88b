"""What aiormq reads from instead of its socket: the broker's bytes, less the messages that we take."""

import asyncio
from typing import Any, Final, cast

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from tidings.broker.wire.frames import Frames

CHUNK: Final = 256 * 1024
"""Most bytes read at once."""
HEARTBEAT: Final = b"\x08\x00\x00\x00\x00\x00\x00\xce"


class Stream:
    """A connection's bytes with the messages taken out.

    Has what aiormq asks of its `asyncio.StreamReader`. Where everything that arrived was taken,
    aiormq reads a heartbeat in its place: it would believe the connection stuck, since RabbitMQ
    sends none of its own while it sends messages.
    """

    def __init__(self, reader: asyncio.StreamReader, frames: Frames) -> None:
        self._reader = reader
        self._frames = frames
        self._ready = b""

    def at_eof(self) -> bool:
        """Whether everything was read."""
        return not self._ready and self._reader.at_eof()

    async def readexactly(self, count: int) -> bytes:
        """The next bytes that belong to other frames.

        Raises:
            asyncio.IncompleteReadError: The connection ended before.
        """
        while len(self._ready) < count:
            if not await self._more():
                partial, self._ready = self._ready, b""
                raise asyncio.IncompleteReadError(partial, count)
        wanted, self._ready = self._ready[:count], self._ready[count:]
        return wanted

    async def read(self) -> bytes:
        """Whatever has arrived."""
        if not self._ready:
            await self._more()
        arrived, self._ready = self._ready, b""
        return arrived

    async def _more(self) -> bool:
        data = await self._reader.read(CHUNK)
        if not data:
            return False
        others = self._frames.feed(data)
        self._ready += others or (HEARTBEAT if self._frames.taking else b"")
        return True


class Transport(TransportFactory):
    """Opens a connection's socket, in the clear or with TLS.

    Args:
        frames: Takes messages out of what is read from it.
    """

    def __init__(self, scheme: str, frames: Frames) -> None:
        self._factory = TLSTransportFactory() if scheme == "amqps" else TCPTransportFactory()
        self._frames = frames

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Called by aiormq, once per connection."""
        reader, writer = await self._factory.create(url, **kwargs)
        return cast("asyncio.StreamReader", Stream(reader, self._frames)), writer
