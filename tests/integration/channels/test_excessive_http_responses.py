"""Whatever an HTTP server sends before, beside and after its answer, it takes little, and soon ends."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.integration.channels.raw_server import RawServer, http, serving

from tidings.channels.network.bounded_http import FRAMING, HEAD, INFORMATIONAL
from tidings.channels.network.http_client import HttpClient, HttpResponse
from tidings.delivery.errors import OutcomeUnknown

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient("receiver", keepalive=4.0)
    try:
        yield made
    finally:
        await made.close()


async def get(http_client: HttpClient, server: RawServer, timeout: float = 10.0) -> HttpResponse:
    return await http_client.request(
        "POST", server.url, headers={}, body=b"{}", timeout=timeout, max_body=65_536
    )


async def refused(server: RawServer) -> str:
    async with client() as http_client:
        with pytest.raises(OutcomeUnknown) as caught:
            await get(http_client, server)
    return caught.value.message


@pytest.mark.parametrize(
    ("start", "again", "received"),
    [
        (b"", CONTINUE * 4000, "more than 16 informational responses"),
        (b"", HINTS * 1000, "more than 16 informational responses"),
        (b"", b"HTTP/1.1 199 \r\nX: " + b"x" * 8000 + b"\r\n\r\n", "more than 64 KiB of headers"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 8000, "the response was not valid HTTP"),
    ],
    ids=["100 for ever", "103 for ever", "large 199 for ever", "one header without end"],
)
async def test_replies_before_the_reply_that_never_end_are_hung_up_on_at_once(
    start: bytes, again: bytes, received: str
) -> None:
    began = time.monotonic()
    async with serving(start, again=again) as server:
        tracemalloc.start()
        try:
            message = await refused(server)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert received in message
    assert "may have arrived" in message
    assert time.monotonic() - began < 3
    assert peak < 4 * MEBIBYTE


async def test_many_cookies_are_more_headers_than_are_read() -> None:
    cookies = b"".join(b"Set-Cookie: %d=%s\r\n" % (n, b"x" * 2000) for n in range(100))
    async with serving(b"HTTP/1.1 200 OK\r\n" + cookies + b"\r\n") as server:
        assert "more than 64 KiB of headers" in await refused(server)


async def test_informational_replies_one_by_one_are_counted_too() -> None:
    async with serving(b"", again=CONTINUE, pause=0.005) as server:
        assert "informational" in await refused(server)

    assert server.written < (INFORMATIONAL + 20) * len(CONTINUE)


async def test_a_server_that_drips_informational_replies_ends_with_the_time_of_the_request() -> (
    None
):
    began = time.monotonic()
    async with serving(b"", again=CONTINUE, pause=0.2) as server, client() as http_client:
        with pytest.raises(OutcomeUnknown, match="no response in time"):
            await get(http_client, server, timeout=0.5)

    assert time.monotonic() - began < 2


async def test_a_few_informational_replies_are_passed_over() -> None:
    head = HINTS * INFORMATIONAL + http("200 OK", b"ok")
    async with serving(head) as server, client() as http_client:
        response = await get(http_client, server)

    assert (response.status, response.body) == (200, b"ok")


async def test_each_request_over_a_kept_connection_has_the_bounds_to_itself() -> None:
    head = HINTS * INFORMATIONAL + KEPT
    async with serving(head, then=(head, head)) as server, client() as http_client:
        responses = [await get(http_client, server) for _ in range(3)]

    assert [response.body for response in responses] == [b"ok"] * 3
    assert server.opened == 1


@pytest.mark.parametrize(
    "again",
    [b"1;x=" + b"y" * 8000 + b"\r\nz\r\n", b"y" * 8000],
    ids=["extensions of chunks", "one extension without end"],
)
async def test_a_body_that_is_all_framing_counts_by_its_status_and_is_hung_up_on(
    again: bytes,
) -> None:
    began = time.monotonic()
    start = CHUNKED + b"1;x="
    async with serving(start, again=again) as server, client() as http_client:
        response = await get(http_client, server)

    assert response.status == 200
    assert time.monotonic() - began < 3
    assert server.written < 10 * MEBIBYTE


async def test_a_body_in_chunks_of_one_byte_is_read_whole() -> None:
    chunks = b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n"
    assert len(chunks) > HEAD + FRAMING
    async with serving(CHUNKED + chunks) as server, client() as http_client:
        assert len((await get(http_client, server)).body) == 30_000


async def test_trailers_without_end_count_by_the_status() -> None:
    trailer = b"X-Trailer: " + b"t" * 1000 + b"\r\n"
    head = CHUNKED + b"2\r\nok\r\n0\r\n"
    async with serving(head, again=trailer) as server, client() as http_client:
        assert (await get(http_client, server)).status == 200


async def test_switching_protocols_is_an_answer_after_which_nothing_is_read() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    async with serving(switched, again=b"y" * 65_536) as server, client() as http_client:
        assert (await get(http_client, server)).status == 101

    assert server.written < 10 * MEBIBYTE


@pytest.mark.parametrize("more", [KEPT, CONTINUE, b"junk"], ids=["200", "100", "junk"])
async def test_what_comes_over_an_idle_connection_is_no_answer_to_the_next_request(
    more: bytes,
) -> None:
    async with _talkative(more) as (port, connections), client() as http_client:
        server = RawServer(b"", port=port)
        assert (await get(http_client, server)).status == 204
        async with asyncio.timeout(2):  # sooner than an idle connection is given up
            await connections[0].wait()
        assert (await get(http_client, server)).status == 204

    assert len(connections) == 2


@asynccontextmanager
async def _talkative(more: bytes) -> AsyncIterator[tuple[int, list[asyncio.Event]]]:
    """A server that goes on talking after its answer: its port, and for each connection when that was ended."""
    ended: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = asyncio.Event()
        ended.append(end)
        try:
            await reader.readuntil(b"{}")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            while True:
                await asyncio.sleep(0.02)
                writer.write(more)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # hung up on
        finally:
            end.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ended
    finally:
        server.close()
        async with asyncio.timeout(5):
            for end in ended:
                await end.wait()
