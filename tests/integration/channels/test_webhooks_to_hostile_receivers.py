"""Whatever a receiver of webhooks sends, or does not take: bounded in bytes and in time, with flat memory."""

import asyncio
import gzip
import ssl
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import pytest
from tests.contract.channels.rig import request_for

from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import DeliveryError, OutcomeUnknown, Unavailable
from tidings.delivery.ports import Content, SendRequest

MIB: Final = 1024 * 1024
TIMEOUT: Final = 0.8
"""Seconds that a webhook has here."""
OVER: Final = 1.0
"""Seconds that one may take longer on a busy machine."""
SOCKETS: Final = 12 * MIB
"""Bytes that the kernel takes for both ends, however few are read."""
MEMORY: Final = 4 * MIB
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB: Final = gzip.compress(bytes(64 * MIB))
HEADERS: Final = b"X-More: " + b"y" * 1000 + b"\r\n"

Sent = tuple[()]
SENT: Final[Sent] = ()


@dataclass(frozen=True)
class Hostile:
    """What a receiver does once it has a request, and what is to come of that."""

    name: str
    says: bytes = b""
    again: bytes = b""
    """Over and over."""
    pause: float = 0.0
    """Seconds between."""
    error: type[DeliveryError] | Sent = SENT
    at_once: bool = True
    """Whether it is found out before the time is over."""


RECEIVERS: Final = [
    Hostile("header lines without end", b"HTTP/1.1 200 OK\r\n", HEADERS, error=OutcomeUnknown),
    Hostile("one header without end", b"HTTP/1.1 200 OK\r\nX: ", b"y" * 8000, error=OutcomeUnknown),
    Hostile("a header name without end", b"HTTP/1.1 200 OK\r\n", b"y" * 8000, error=OutcomeUnknown),
    Hostile("a status line without end", b"HTTP/1.1 200 ", b"y" * 8000, error=OutcomeUnknown),
    Hostile("empty lines before a status", again=b"\r\n" * 4000, error=OutcomeUnknown),
    Hostile("100 Continue without end", again=b"HTTP/1.1 100 \r\n\r\n" * 99, error=OutcomeUnknown),
    Hostile("a page as in HTTP/0.9", b"<html>", b"<p>hello</p>" * 999, error=OutcomeUnknown),
    Hostile("zeros", again=bytes(8000), error=OutcomeUnknown),
    Hostile("headers that drip", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.1, OutcomeUnknown, False),
    Hostile("one byte after the other", again=b"H", pause=0.1, error=OutcomeUnknown),
    Hostile("nothing", again=b"", error=OutcomeUnknown, at_once=False),
    Hostile("extensions of chunks without end", CHUNKED, b"1;x=" + b"y" * 8000 + b"\r\nz\r\n"),
    Hostile("one extension without end", CHUNKED + b"1;x=", b"y" * 8000),
    Hostile("a size of a chunk without end", CHUNKED, b"0" * 8000),
    Hostile("trailers without end", CHUNKED + b"2\r\nok\r\n0\r\n", HEADERS),
    Hostile(
        "one trailer without end", CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"y" * 8000, at_once=False
    ),
    Hostile("trailers that drip", CHUNKED + b"2\r\nok\r\n0\r\n", b"X: y\r\n", 0.1, at_once=False),
    Hostile("chunks that drip", CHUNKED, b"1\r\nx\r\n", 0.1, at_once=False),
    Hostile(
        "a body that drips",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"x",
        0.1,
        at_once=False,
    ),
    Hostile("a body without end", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
    Hostile(
        "a body of a terabyte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"x" * 65_536,
    ),
    Hostile(
        "a bomb of gzip",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(BOMB), BOMB),
    ),
    Hostile(
        "another protocol",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"y" * 65_536,
        error=Unavailable,
    ),
    Hostile("answers without end", again=b"HTTP/1.1 204 No Content\r\n\r\n" * 999),
    Hostile("a refusal without end", b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65_536, error=Unavailable),
]


def webhook(url: str, payload: object = None) -> SendRequest:
    fields = {
        "channel": "webhook",
        "recipient": url,
        "event_type": "order.paid",
        "payload": {"some": payload},
    }
    return request_for(fields, Content(), timeout=TIMEOUT)


@asynccontextmanager
async def sending(tls: ssl.SSLContext | None = None) -> AsyncIterator[WebhookChannel]:
    channel = WebhookChannel(
        WebhookSettings(secret="whsec_" + "c2VjcmV0" * 5, allow_private=True),
        tls=tls,
    )
    try:
        yield channel
    finally:
        await channel.close()


class Server:
    """Does as it is told with each connection, and counts."""

    def __init__(
        self,
        serve: Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        self._serve = serve
        self.port = self.written = self.connections = self.opened = 0

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    async def say(self, writer: asyncio.StreamWriter, words: bytes) -> None:
        writer.write(words)
        self.written += len(words)
        await writer.drain()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.opened += 1
        try:
            await self._serve(self, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # hung up on
        finally:
            self.connections -= 1
            writer.close()

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            async with asyncio.timeout(5):  # whoever is hung up on notices
                while self.connections:
                    await asyncio.sleep(0.005)


def hostile(kind: Hostile) -> Server:
    async def serve(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await server.say(writer, kind.says)
        while kind.again:
            await server.say(writer, kind.again)
            await asyncio.sleep(kind.pause)
        while await reader.read(65_536):
            pass

    return Server(serve)


async def came_of(channel: WebhookChannel, request: SendRequest) -> type[DeliveryError] | Sent:
    try:
        await channel.send(request)
    except DeliveryError as error:
        return type(error)
    return SENT


async def bounded(server: Server, request: SendRequest) -> tuple[type[DeliveryError] | Sent, float]:
    """What came of it, and how many seconds it took."""
    async with sending() as channel:
        began = time.monotonic()
        tracemalloc.start()
        try:
            came = await came_of(channel, request)
            took = time.monotonic() - began
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert took < TIMEOUT + OVER
    assert peak < MEMORY
    assert server.written < SOCKETS
    assert server.opened == 1
    return came, took


@pytest.mark.parametrize("kind", RECEIVERS, ids=lambda kind: kind.name)
async def test_a_receiver_that_sends_what_it_likes_is_soon_done_with(kind: Hostile) -> None:
    async with hostile(kind).listening() as server:
        came, took = await bounded(server, webhook(f"http://{server.host}/hook"))

    assert came == kind.error
    if kind.at_once:
        assert took < TIMEOUT


async def test_a_redirect_to_itself_is_asked_once() -> None:
    async def serve(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            head = f"HTTP/1.1 302 Found\r\nLocation: http://{server.host}/hook\r\n"
            await server.say(writer, head.encode() + b"Content-Length: 0\r\n\r\n")

    async with Server(serve).listening() as server:
        came, took = await bounded(server, webhook(f"http://{server.host}/hook"))

    assert came is Unavailable
    assert took < TIMEOUT


@pytest.mark.parametrize("pause", [None, 0.1], ids=["nothing", "little by little"])
async def test_a_receiver_that_does_not_take_a_large_payload_ends_with_its_time(
    pause: float | None,
) -> None:
    async def serve(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del server
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        while not transport.is_closing():
            if pause is not None:
                transport.resume_reading()
                await reader.read(1)
                transport.pause_reading()
            await asyncio.sleep(0.1)
            if time.monotonic() - began > TIMEOUT + OVER:
                return

    began = time.monotonic()
    async with Server(serve).listening() as server:
        request = webhook(f"http://{server.host}/hook", "x" * 9 * MIB)
        came, _ = await bounded(server, request)

    assert came is OutcomeUnknown


RECORD: Final = b"\x16\x03\x03\x40\x00"
"""Head of a record of TLS: 16 KiB of a handshake."""


@pytest.mark.parametrize(
    "kind",
    [
        Hostile("nothing", at_once=False),
        Hostile("a record that drips", RECORD, b"\x02", 0.1, at_once=False),
        Hostile("a message without end", RECORD + b"\x02\xff\xff\xff", bytes(16_380) + RECORD),
        Hostile("empty records without end", again=b"\x16\x03\x03\x00\x00" * 1000),
        Hostile("warnings without end", again=b"\x15\x03\x03\x00\x02\x01\x00" * 1000),
        Hostile("changes of cipher without end", again=b"\x14\x03\x03\x00\x01\x01" * 1000),
        Hostile("no TLS", b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
    ],
    ids=lambda kind: kind.name,
)
async def test_a_handshake_that_never_ends_is_given_up(kind: Hostile) -> None:
    async def serve(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(1)
        await server.say(writer, kind.says)
        while kind.again:
            await server.say(writer, kind.again)
            await asyncio.sleep(kind.pause)
        while await reader.read(65_536):
            pass

    async with Server(serve).listening() as server:
        came, took = await bounded(server, webhook(f"https://{server.host}/hook"))

    assert came is Unavailable  # nothing was sent
    if kind.at_once:
        assert took < TIMEOUT / 2
