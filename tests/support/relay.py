"""A wire between a client and a server that can be held, so that replies wait, and cut."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Relay:
    """Passes TCP connections on to where a URL leads. Use it with `async with`."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._replies = asyncio.Event()
        self._replies.set()
        self._server: asyncio.Server | None = None
        self._replies_left = -1
        self.port = 0
        self.connections = 0
        """How many were ever accepted."""

    @property
    def url(self) -> str:
        """The URL, through here."""
        userinfo = self._url.netloc.rpartition("@")[0]
        return urlunsplit(self._url._replace(netloc=f"{userinfo}@127.0.0.1:{self.port}"))

    def hold_replies(self) -> None:
        """Keep what the server says from now on."""
        self._replies.clear()

    def let_go(self) -> None:
        """Pass on what was kept."""
        self._replies.set()

    def cut_after(self, replies: int) -> None:
        """Cut once the server has said something so many times, the last of them unheard."""
        self._replies_left = replies

    def cut(self) -> None:
        """Hang up on everybody, at both ends; who connects again gets through."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.let_go()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        self._writers |= {writer, up_writer}
        for pump in (_pump(reader, up_writer), _pump(up_reader, writer, self._reply)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _reply(self) -> None:
        await self._replies.wait()
        self._replies_left -= 1
        if self._replies_left == 0:
            self.cut()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    before: Callable[[], Awaitable[None]] | None = None,
) -> None:
    try:
        while data := await reader.read(65_536):
            if before is not None:
                await before()
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # cut
    finally:
        writer.close()
