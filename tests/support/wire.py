"""A line to a server that tests cut, or make fall silent."""

import asyncio
from contextlib import suppress

from yarl import URL


class Wire:
    """Forwards bytes to a server until it is cut; may swallow what the server answers."""

    def __init__(self, server: URL) -> None:
        self._target = server
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.silent = False
        self.connections = 0
        self.sent = 0
        self._moved = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The server's URL, by way of this."""
        return str(self._target.with_host("127.0.0.1").with_port(self.port))

    async def open(self, port: int = 0) -> None:
        """Listen; on the same port as before, if clients are to find it again."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", port)

    def cut(self) -> None:
        """End every connection; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """End every connection, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def until_sent(self, size: int) -> None:
        """Wait until clients have sent so many bytes."""
        async with asyncio.timeout(20):
            while self.sent < size:
                self._moved.clear()
                await self._moved.wait()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        assert self._target.host
        there, back = await asyncio.open_connection(self._target.host, self._target.port)
        self._writers |= {writer, back}
        await asyncio.gather(self._up(reader, back), self._down(there, writer))
        self._writers -= {writer, back}

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                self.sent += len(data)
                self._moved.set()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.close()
