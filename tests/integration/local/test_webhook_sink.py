"""The webhook sink, spoken to by an ordinary HTTP client."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tidings_local.errors import LocalStackError
from tidings_local.ports import free_port
from tidings_local.sinks.script import Behaviour
from tidings_local.sinks.webhook import WebhookSink


@pytest.fixture
async def http(webhook_sink: WebhookSink) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(webhook_sink.url) as session:
        yield session


async def status(http: aiohttp.ClientSession, path: str) -> int:
    async with http.post(path, data=b"{}") as response:
        return response.status


async def test_a_request_is_kept_as_it_came(
    webhook_sink: WebhookSink, http: aiohttp.ClientSession
) -> None:
    async with http.post("/orders?n=1", data=b"\x00\xff", headers={"Webhook-Id": "7"}) as response:
        assert response.status == 200
    request = webhook_sink.requests[0]
    assert (request.method, request.path, request.body) == ("POST", "/orders?n=1", b"\x00\xff")
    assert request.headers["webhook-id"] == "7"


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/fail-once/x", [503, 200]),
        ("/fail/x", [503, 503]),
        ("/reject", [410, 410]),
        ("/throttle/x", [429, 200]),
        ("/status/302", [302, 302]),
        ("/status/999", [200, 200]),
        ("/failures", [200, 200]),
    ],
)
async def test_the_path_says_what_to_do(
    http: aiohttp.ClientSession, path: str, answers: list[int]
) -> None:
    assert [await status(http, path) for _ in answers] == answers


async def test_who_is_throttled_is_told_how_long(http: aiohttp.ClientSession) -> None:
    async with http.post("/throttle") as response:
        assert response.headers["Retry-After"] == "1"


async def test_a_test_may_say_what_happens(
    webhook_sink: WebhookSink, http: aiohttp.ClientSession
) -> None:
    webhook_sink.scripts.tell("/orders", Behaviour.REJECT, times=1)
    assert [await status(http, "/orders") for _ in range(2)] == [410, 200]


async def test_a_dropped_request_is_kept(
    webhook_sink: WebhookSink, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await status(http, "/drop-3/x")
    assert webhook_sink.requests.received >= 1


async def test_a_sink_ends_while_a_request_hangs() -> None:
    async with asyncio.timeout(5):
        async with WebhookSink() as sink, aiohttp.ClientSession(sink.url) as http:
            hanging = asyncio.create_task(status(http, "/hang"))
            await sink.requests.wait_for(1)
            await sink.__aexit__()
            with pytest.raises(aiohttp.ClientConnectionError):
                await hanging


async def test_a_taken_port_is_refused() -> None:
    async with WebhookSink(port=free_port()) as first:
        with pytest.raises(LocalStackError, match=f"port {first.port} is taken"):
            async with WebhookSink(port=first.port):
                pass
