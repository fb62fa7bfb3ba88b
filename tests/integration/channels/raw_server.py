"""A server on loopback that answers every request with the same bytes, whatever they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """What has been asked of it so far."""

    reply: bytes
    """What it says to each request before it hangs up."""
    again: bytes = b""
    """What it then says over and over, until it is hung up on."""
    pause: float = 0.0
    """Seconds between."""
    read_body: bool = True
    then: tuple[bytes, ...] = ()
    """What it says to further requests of the same connection, which it keeps so long."""
    at_work: float = 0.0
    """Seconds it takes for each of those."""
    port: int = 0
    heads: list[str] = field(default_factory=list)
    """First line and headers of each request."""
    bodies: list[bytes] = field(default_factory=list)
    written: int = 0
    """Bytes written."""
    connections: int = 0
    """Open right now."""
    opened: int = 0
    """Ever."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.opened += 1
        try:
            await self._hear(reader)
            await self._say(writer, self.reply)
            for words in self.then:
                await self._hear(reader)
                await asyncio.sleep(self.at_work)
                await self._say(writer, words)
            while self.again:
                await self._say(writer, self.again)
                await asyncio.sleep(self.pause)
        except (OSError, asyncio.IncompleteReadError):
            pass  # hung up on
        finally:
            self.connections -= 1
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        fields = (line.partition(":") for line in head.lower().split("\r\n")[1:])
        length = next((int(value) for name, _, value in fields if name == "content-length"), 0)
        if self.read_body:
            self.bodies.append(await reader.readexactly(length))

    async def _say(self, writer: asyncio.StreamWriter, words: bytes) -> None:
        writer.write(words)
        self.written += len(words)
        await writer.drain()


@asynccontextmanager
async def serving(reply: bytes, **settings: object) -> AsyncIterator[RawServer]:
    """Such a server, listening."""
    raw = RawServer(reply, **settings)  # type: ignore[arg-type]  # its own fields
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0, limit=2**24)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        async with asyncio.timeout(5):
            while raw.connections:  # counted in one place, waited for in one
                await asyncio.sleep(0.005)


def http(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """A reply, whose declared length may be a lie."""
    declared = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {declared}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
