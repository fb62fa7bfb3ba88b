"""A wire to PostgreSQL that behaves in one way whenever a message for an inbox is on it.

Reads the frontend's messages (https://www.postgresql.org/docs/current/protocol-message-formats.html) as far as it takes to
know those statements; everything else passes.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.contract.channels.rig import WORDS, Behaviour

STARTUP = 196_608
"""The protocol's version 3.0: what begins a session, and not a request to encrypt or to cancel."""
DELIVERS, CHECKS = b"INSERT INTO inbox_users", b"has_table_privilege"
"""In the statement that delivers, and in the one that checks."""
READY = b"Z\0\0\0\5I"
SQLSTATES = {Behaviour.UNAVAILABLE: "53200", Behaviour.MISCONFIGURED: "42501"}


class PostgresWire:
    """Passes connections on to where a URL leads.

    Args:
        quoted: What an error says, as errors of PostgreSQL may.
    """

    def __init__(self, url: str, behaviour: Behaviour, quoted: str) -> None:
        self._target = urlsplit(url)
        self._behaviour = behaviour
        self._quoted = quoted
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.taken = 0
        """Messages that PostgreSQL was given."""
        self.silent = 0
        """Connections left without an answer."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        userinfo = self._target.netloc.rpartition("@")[0]
        self.url = urlunsplit(self._target._replace(netloc=f"{userinfo}@127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        while self._tasks:  # one may have been accepted meanwhile
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._behaviour is Behaviour.TIMEOUT:
                await self._stay_silent(reader)
            else:
                await self._pass_on(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it hung up
        finally:
            writer.transport.abort()

    async def _stay_silent(self, reader: asyncio.StreamReader) -> None:
        self.silent += 1
        try:
            while await reader.read(65_536):
                continue
        finally:
            self.silent -= 1

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        session = _Session(self, writer, up_writer)
        back = asyncio.create_task(session.answers(up_reader))
        try:
            async for message in _messages(reader):
                await session.client_sends(*message)
        finally:
            session.end()
            up_writer.transport.abort()  # first: whoever cancels this while it waits must not leave it open
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)

    def error(self) -> bytes:
        """PostgreSQL's refusal."""
        fields = {"S": "ERROR", "C": SQLSTATES[self._behaviour], "M": self._quoted}
        body = b"".join(f"{name}{text}\0".encode() for name, text in fields.items()) + b"\0"
        return b"E" + struct.pack(">I", len(body) + 4) + body + READY


class _Session:
    """One connection."""

    def __init__(
        self, wire: PostgresWire, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._wire = wire
        self._behaviour = wire._behaviour
        self._client = client
        self._server = server
        self._statements: dict[bytes, bytes] = {}
        self._swallowing = False
        self._held = False
        self._flood: asyncio.Task[None] | None = None

    async def client_sends(self, kind: bytes, payload: bytes) -> None:
        """A message of the client: its type, none at first, and all of it."""
        if kind == b"P":
            name, _, text = payload[5:].partition(b"\0")
            self._statements[name] = text
        if kind == b"B":
            self._execute(self._statements.get(payload[5:].split(b"\0", 2)[1], b""))
        if self._swallowing:
            if kind == b"S":
                self._swallowing = False
                self._client.write(self._wire.error())
            return
        self._server.write(payload)
        await self._server.drain()

    def _execute(self, statement: bytes) -> None:
        if DELIVERS not in statement and CHECKS not in statement:
            return
        match self._behaviour:
            case Behaviour.UNAVAILABLE | Behaviour.MISCONFIGURED:
                self._swallowing = True
                return
            case (
                Behaviour.REPLY_LOST | Behaviour.REPLY_LATE | Behaviour.GARBAGE | Behaviour.ENDLESS
            ):
                self._held = True
        self._wire.taken += DELIVERS in statement
        self._wire.silent += self._behaviour is Behaviour.REPLY_LATE

    async def answers(self, reader: asyncio.StreamReader) -> None:
        """Pass on what PostgreSQL says, unless it is to be lost."""
        while data := await reader.read(65_536):
            if not self._held:
                self._client.write(data)
                await self._client.drain()
            elif self._behaviour is Behaviour.REPLY_LOST:
                self._client.transport.abort()
            elif self._behaviour is Behaviour.GARBAGE:
                self._client.write(b"\xff\xfe\0\0" + self._wire._quoted.encode() * 20)
            elif self._behaviour is Behaviour.ENDLESS and self._flood is None:
                self._flood = asyncio.create_task(self._talk())
        self._client.transport.abort()  # PostgreSQL has hung up

    async def _talk(self) -> None:
        body = f"SNOTICE\0C00000\0M{self._wire._quoted}\0\0".encode()
        notice = b"N" + struct.pack(">I", len(body) + 4) + body
        while True:
            self._client.write(notice * 10)
            await self._client.drain()
            await asyncio.sleep(0.01)

    def end(self) -> None:
        """The client has left."""
        self._wire.silent -= self._held and self._behaviour is Behaviour.REPLY_LATE
        if self._flood is not None:
            self._flood.cancel()


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    started = False
    while True:
        kind = await reader.readexactly(1) if started else b""
        length = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack(">I", length)[0] - 4)
        yield kind, kind + length + body
        started = started or struct.unpack(">I", body[:4])[0] == STARTUP


QUOTED = f"out of memory for Wilhelmina Harker: {WORDS.subject}: {WORDS.text}"
