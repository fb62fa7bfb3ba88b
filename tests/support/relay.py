"""A wire between a client and a server that can be held, slowed, made to lose things, and cut."""

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
        self._moving = asyncio.Event()
        self._moving.set()
        self._server: asyncio.Server | None = None
        self._replies_left = -1
        self._losing: set[asyncio.StreamWriter] = set()
        self.delay = 0.0
        """Seconds by which everything is late, in both directions."""
        self.port = 0
        self.connections = 0
        """How many were ever accepted."""

    @property
    def url(self) -> str:
        """The URL, through here."""
        userinfo = self._url.netloc.rpartition("@")[0]
        return urlunsplit(self._url._replace(netloc=f"{userinfo}@127.0.0.1:{self.port}"))

    def lead_to(self, url: str) -> None:
        """Pass on to another server who connects from now on; the others stay where they are."""
        self._url = self._url._replace(netloc=urlsplit(url).netloc)

    def hold_replies(self) -> None:
        """Keep what the server says from now on."""
        self._replies.clear()

    def let_go(self) -> None:
        """Pass on what was kept."""
        self._replies.set()

    def stall(self) -> None:
        """Pass nothing on from now on, in either direction; nobody is told, and nothing is lost."""
        self._moving.clear()

    def go_on(self) -> None:
        """Pass on what has waited meanwhile, and what comes."""
        self._moving.set()

    def cut_after(self, replies: int) -> None:
        """Cut once the server has said something so many times, the last of them unheard."""
        self._replies_left = replies

    def cut(self) -> None:
        """Hang up on everybody, at both ends; who connects again gets through."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Hang up on everybody, and let nobody connect again."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def lose(self) -> None:
        """Lose whatever either end says on the connections there are now; only a cut ends that."""
        self._losing |= self._writers

    def half_close(self) -> None:
        """Tell everybody that the other end will say no more, and go on listening to them."""
        for writer in self._writers:
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.let_go()
        self.go_on()
        self.delay = 0.0
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        except OSError:
            writer.transport.abort()  # nobody is at home: neither are we
            return
        self._writers |= {writer, up_writer}
        for pump in (
            self._pump(reader, up_writer, self._request),
            self._pump(up_reader, writer, self._reply),
        ):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _request(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._moving.wait()

    async def _reply(self) -> None:
        await self._request()
        await self._replies.wait()
        self._replies_left -= 1
        if self._replies_left == 0:
            self.cut()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        before: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await before()
                if writer not in self._losing:
                    writer.write(data)
                    await writer.drain()
        except (ConnectionError, RuntimeError):
            pass  # cut, or closed by half
        finally:
            writer.close()
            self._writers.discard(writer)
            self._losing.discard(writer)
