"""Limits of requests in progress, of their bodies and of a key's quota, each with its reply."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel
from tests.support.api_rig import Answer, serving

from tidings.api.live.protocols import LONGEST_HEAD
from tidings.api.route import AnyCall, Documented, Reply, Route
from tidings.operations.scopes import Scope
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
"""All but the empty line at the end."""
JSON = {"Content-Type": "application/json"}


class Nothing(BaseModel):
    """A reply."""


MODEL = {200: Documented("It worked", Nothing)}


def refused(answer: Answer, status: int, kind: str) -> bool:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return (answer.status, answer.data["type"]) == (status, f"urn:tidings:problem:{kind}")


async def test_all_bodies_together_take_no_more_than_allowed(
    environment: pytest.MonkeyPatch,
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def holds(call: AnyCall) -> Reply:
        if len(call.body) > 1000:
            entered.set()
            await leave.wait()
        return Reply({})

    async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
        yield data

    held = Route("POST", "/v1/held", holds, Scope.SEND, "Hold", MODEL, "test", reads_bytes=True)
    environment.setenv("TIDINGS_API_MAX_BODY_MIB", "1")
    environment.setenv("TIDINGS_API_MAX_BODIES_MIB", "1")
    large, small = b" " * 1_000_000, b" " * 1000
    async with serving(Settings(), held) as rig:
        key = await rig.key()

        async def posted(data: object) -> Answer:
            return await rig.ask("POST", "/v1/held", key, headers=JSON, data=data)

        holding = asyncio.create_task(posted(large))
        await entered.wait()
        for data in (b" " * 60_000, in_chunks(b" " * 60_000)):  # with a Content-Length, and without
            answer = await posted(data)
            assert refused(answer, 503, "unavailable")
            assert answer.headers["Retry-After"] == "2"
        assert (await posted(small)).status == 200
        leave.set()
        assert (await holding).status == 200
        assert (await posted(large)).status == 200


async def test_more_requests_than_allowed_are_refused_at_once(
    environment: pytest.MonkeyPatch,
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def waits(_: AnyCall) -> Reply:
        entered.set()
        await leave.wait()
        return Reply({})

    slow = Route("GET", "/v1/slow", waits, Scope.READ, "Wait", MODEL, "test")
    environment.setenv("TIDINGS_API_MAX_REQUESTS", "1")
    async with serving(Settings(), slow) as rig:
        key = await rig.key()
        waiting = asyncio.create_task(rig.ask("GET", "/v1/slow", key))
        await entered.wait()
        answer = await rig.ask("GET", "/v1/slow", key)
        assert refused(answer, 503, "unavailable")
        for path in ("/healthz", "/readyz"):
            assert (await rig.ask("GET", path)).status == 200
        leave.set()
        assert (await waiting).status == 200


async def test_the_quota_of_a_key_is_told_and_held(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TIDINGS_API_RATE_LIMIT", "20/m")
    async with serving(Settings()) as rig:
        key, other = await rig.key(), await rig.key()
        statuses = []
        for _ in range(21):
            answer = await rig.ask("GET", "/v1/nothing", key)
            statuses.append(answer.status)
            assert answer.headers["RateLimit-Policy"] == '"key";q=20;w=60'
        assert set(statuses[:15]) == {404}
        assert statuses[-1] == 429
        assert refused(answer, 429, "rate-limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit"].startswith('"key";r=0;t=')
        assert (await rig.ask("GET", "/v1/nothing", other)).status == 404


async def answered(port: int, sent: bytes) -> bytes:
    """All that comes on a connection until the process closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /", REQUEST, REQUEST + b"X-A: "])
async def test_a_connection_without_a_whole_request_is_closed(
    environment: pytest.MonkeyPatch, sent: bytes
) -> None:
    environment.setattr("tidings.api.live.protocols.HEAD_WITHIN", 0.5)
    async with serving(Settings()) as rig:
        assert await answered(rig.api.port, sent) == b""


async def test_the_next_request_of_a_connection_is_not_waited_for_without_end(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setattr("tidings.api.server.KEEP_ALIVE", 1)
    async with serving(Settings()) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.api.port)
        writer.write(REQUEST + b"\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.write(REQUEST)
        async with asyncio.timeout(10):
            assert b"HTTP/1.1" not in await reader.read()
        writer.close()


@pytest.mark.parametrize("more", [b"X-A: b\r\n", b"a"], ids=["many", "one without end"])
async def test_headers_without_end_are_refused(
    environment: pytest.MonkeyPatch, more: bytes
) -> None:
    # All of it is read before it is too much, or the connection would be reset.
    sent = (REQUEST + b"X-A: b\r\nX-A: " + more * LONGEST_HEAD)[: LONGEST_HEAD + 1]
    async with serving(Settings()) as rig:
        assert (await answered(rig.api.port, sent)).startswith(b"HTTP/1.1 400 ")
