"""An HTTPS server on loopback with a scripted behaviour for each connection."""

import asyncio
import functools
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import trustme
from tests.contract.channels.rig import Behaviour

ACCEPTED = frozenset(
    {
        Behaviour.DELIVERED,
        Behaviour.REPLY_LOST,
        Behaviour.REPLY_LATE,
        Behaviour.GARBAGE,
        Behaviour.ENDLESS,
    }
)
"""Behaviours that come after the whole payload was taken without complaint."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@functools.cache
def authority() -> trustme.CA:
    """Vouches for the provider's certificate."""
    return trustme.CA()


def client_tls() -> ssl.SSLContext:
    """Trusts the provider only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """A whole reply, after which the connection is closed."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class HttpProvider:
    """Takes one request on each connection, so that a behaviour can begin before the handshake.

    Args:
        answers: The reply to a request under a behaviour that has one.
        endless: What comes before, and what over and over, where the answer never ends.
    """

    def __init__(
        self,
        answers: Callable[[Behaviour, ReceivedRequest], bytes],
        endless: tuple[bytes, bytes],
    ) -> None:
        self._answers = answers
        self._endless = endless
        self._script: deque[Behaviour] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.taken = 0
        self.silent = 0
        self.connections = 0
        self.requests: list[ReceivedRequest] = []

    async def __aenter__(self) -> Self:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("127.0.0.1").configure_cert(self._tls)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = asyncio.create_task(self._accept())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in (self._accepting, *self._tasks):
            task.cancel()
        await asyncio.gather(self._accepting, *self._tasks, return_exceptions=True)
        self._listener.close()

    def script(self, *behaviours: Behaviour) -> None:
        """What to do with the next connections."""
        self._script = deque(behaviours)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listener)
            behaviour = self._script.popleft() if self._script else Behaviour.DELIVERED
            task = asyncio.create_task(self._serve(connection, behaviour))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, behaviour: Behaviour) -> None:
        self.connections += 1
        try:
            with connection:
                await self._behave(connection, behaviour)
        except OSError:
            pass  # hung up on
        finally:
            self.connections -= 1

    async def _behave(self, connection: socket.socket, behaviour: Behaviour) -> None:
        if behaviour is Behaviour.GONE:
            return
        if behaviour is Behaviour.TIMEOUT:
            await self._until_hung_up(functools.partial(_receive, connection))
            return
        reader, writer = await self._handshake(connection)
        try:
            request = await _request(reader)
            if request is not None:
                await self._reply(request, behaviour, reader, writer)
        finally:
            writer.transport.abort()

    async def _handshake(
        self, connection: socket.socket
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        # Ours, not the one returned: under TLS uvloop returns its own, which no stream can drain.
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _reply(
        self,
        request: ReceivedRequest,
        behaviour: Behaviour,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.requests.append(request)
        self.taken += request.method == "POST" and behaviour in ACCEPTED
        match behaviour:
            case Behaviour.REPLY_LOST:
                pass
            case Behaviour.REPLY_LATE:
                await self._until_hung_up(functools.partial(reader.read, 1024))
            case Behaviour.GARBAGE:
                writer.write(b"* OK IMAP4rev1 at your service\r\n" * 3)
                await writer.drain()
                await _closed(writer, reader)
            case Behaviour.ENDLESS:
                await self._without_end(writer)
            case _:
                writer.write(self._answers(behaviour, request))
                await writer.drain()
                await _closed(writer, reader)

    async def _without_end(self, writer: asyncio.StreamWriter) -> None:
        first, again = self._endless
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0)

    async def _until_hung_up(self, read: Callable[[], Awaitable[bytes]]) -> None:
        self.silent += 1
        try:
            while await read():
                pass
        finally:
            self.silent -= 1


async def _closed(writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
    """Aborting at once could overtake what was written."""
    writer.close()
    while await reader.read(1024):
        pass


async def _receive(connection: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(connection, 1024)


async def _request(reader: asyncio.StreamReader) -> ReceivedRequest | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    method, target, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return ReceivedRequest(method, target, headers, body)


class HttpRig:
    """What the rigs of channels over HTTP have alike; each brings a name, `answers`, a channel and requests."""

    speaks: ClassVar[frozenset[Behaviour]] = frozenset(Behaviour)
    answers: ClassVar[Callable[[Behaviour, ReceivedRequest], bytes]]
    """The reply to a request under a behaviour that has one."""
    endless: ClassVar[tuple[bytes, bytes]]
    """What comes before, and what over and over, where the answer never ends."""

    def __init__(self) -> None:
        self.provider = HttpProvider(type(self).answers, self.endless)

    async def __aenter__(self) -> Self:
        await self.provider.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.provider.__aexit__(kind, error, trace)

    def script(self, *behaviours: Behaviour) -> None:
        """What the provider does next."""
        self.provider.script(*behaviours)

    @property
    def taken(self) -> int:
        """Notifications taken."""
        return self.provider.taken

    @property
    def silent(self) -> int:
        """Sends without an answer."""
        return self.provider.silent

    @property
    def connections(self) -> int:
        """Open connections."""
        return self.provider.connections
