"""Webhooks to receivers that never answer delay no others, however many they are."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import pytest
from tests.integration.channels.raw_server import http, serving
from tests.support.hanging_names import TAIL, hanging_names
from tests.support.worker_rig import Rig, eventually

from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings

MakeRig = Callable[..., Awaitable[Rig]]
PLACES = 4
FEW_THREADS = 4
"""As many as uvloop has for looking names up; asyncio has a few more."""
SETTINGS = {
    "TIDINGS_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"tarpit" * 5).decode(),
    "TIDINGS_WEBHOOK_ALLOW_PRIVATE": "true",
    "TIDINGS_WEBHOOK_CONCURRENCY": str(PLACES),
    "TIDINGS_WEBHOOK_SEND_TIMEOUT": "20s",
    "TIDINGS_WEBHOOK_RETRY": "1s 3s",
    "TIDINGS_GRACE": "1s",
}


@asynccontextmanager
async def tarpits(count: int) -> AsyncIterator[list[str]]:
    """Servers that take whatever they are told and say nothing; their URLs."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    async with AsyncExitStack() as stack:
        servers = [await asyncio.start_server(say_nothing, "127.0.0.1", 0) for _ in range(count)]
        for server in servers:
            await stack.enter_async_context(server)
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]


async def published(rig: Rig, url: str, priority: str = "normal", count: int = 1) -> list[UUID]:
    """Webhooks to this receiver, each to a path of its own."""
    ids = [uuid4() for _ in range(count)]
    for id in ids:
        body = {
            "id": str(id),
            "version": 1,
            "channel": "webhook",
            "priority": priority,
            "recipient": f"{url}/{id.hex}",
            "event_type": "order.paid",
            "payload": {},
        }
        await rig.publish(f"webhook.{priority}", body=json.dumps(body).encode())
    return ids


async def sent(rig: Rig, ids: list[UUID], within: float) -> None:
    async def all_sent() -> bool:
        rows = await rig.fetch(
            "SELECT count(*) AS n FROM notifications WHERE state = 'sent' AND id = ANY($1)", ids
        )
        return rows[0]["n"] == len(ids)

    await eventually(all_sent, within)


async def test_neighbours_are_sent_at_once_beside_many_receivers_that_never_answer(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**SETTINGS)
    channel = WebhookChannel(WebhookSettings())
    async with (
        serving(http("204 No Content")) as good,
        tarpits(5 * PLACES) as urls,
        rig.working(channel),
    ):
        await sent(rig, await published(rig, good.url), 5)
        for url in urls:
            await published(rig, url, count=2)

        await sent(rig, await published(rig, good.url, count=20), 5)

        # What is asked of them takes no place; what is not asked waits, and has spent nothing.
        async def postponed() -> bool:
            rows = await rig.fetch(
                "SELECT count(*) AS n FROM history WHERE reason LIKE 'not sent, no attempt spent: the receiver%'"
            )
            return int(str(rows[0]["n"])) >= 2 * PLACES

        await eventually(postponed, 5)
        assert await rig.fetch("SELECT 1 FROM attempts WHERE state <> 'sent'") == []


async def test_what_is_put_off_takes_nothing_of_the_rate_at_which_neighbours_are_sent(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(
        **SETTINGS | {"TIDINGS_WEBHOOK_RATE": "2/s", "TIDINGS_WEBHOOK_CIRCUIT_FAILURES": "1"}
    )
    async with tarpits(1) as [gone]:
        pass  # the listener is gone
    async with rig.working(WebhookChannel(WebhookSettings())):
        pass  # the queues are there now
    async with serving(http("204 No Content")) as good:
        await published(rig, gone, "high", count=60)
        ids = await published(rig, good.url, count=2)
        async with rig.working(WebhookChannel(WebhookSettings())):
            await sent(rig, ids, 10)


async def test_neighbours_are_sent_at_once_beside_a_hundred_whose_names_no_server_answers_for(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = await make_rig(**SETTINGS | {"TIDINGS_WEBHOOK_CONCURRENCY": "50"})
    with hanging_names(monkeypatch) as resolver:
        async with (
            serving(http("204 No Content")) as good,
            rig.working(WebhookChannel(WebhookSettings())),
        ):
            for number in range(10):
                await published(rig, f"https://hooks{number}{TAIL}", count=10)
            await eventually(lambda: resolver.hanging > FEW_THREADS, 10)

            await sent(rig, await published(rig, f"http://localhost:{good.port}", count=20), 5)


async def test_a_worker_that_starts_with_webhooks_nobody_answers_takes_those_behind(
    make_rig: MakeRig,
) -> None:
    """However few it asks for before it knows how large they are."""
    rig = await make_rig(**SETTINGS | {"TIDINGS_WEBHOOK_CONCURRENCY": "50"})
    async with rig.working(WebhookChannel(WebhookSettings())):
        pass  # the queues are there now
    async with serving(http("204 No Content")) as good, tarpits(60) as urls:
        for url in urls:
            await published(rig, url)
        ids = await published(rig, good.url)
        async with rig.working(WebhookChannel(WebhookSettings())):
            await sent(rig, ids, 10)


async def test_a_receiver_that_falls_silent_in_a_burst_holds_nobody_up_for_longer_than_a_moment(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**SETTINGS)
    channel = WebhookChannel(WebhookSettings())
    silent = asyncio.Event()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536) and not silent.is_set():
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answers, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, serving(http("204 No Content")) as good, rig.working(channel):
        await sent(rig, await published(rig, url, count=10), 5)
        await sent(rig, await published(rig, good.url), 5)
        silent.set()
        await published(rig, url, count=2 * PLACES)

        await sent(rig, await published(rig, good.url, count=5), 5)


async def test_all_webhooks_to_a_slow_receiver_are_sent_with_no_attempt_spent_on_waiting(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**SETTINGS)
    channel = WebhookChannel(WebhookSettings())

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            await asyncio.sleep(1.1)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(slowly, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, rig.working(channel):
        # In this rig no webhook is postponed without an attempt for longer than four seconds, where nobody answers.
        ids = await published(rig, url, count=8 * PLACES)

        await sent(rig, ids, 40)

        assert await rig.fetch("SELECT 1 FROM attempts WHERE state <> 'sent'") == []
        waited = "SELECT 1 FROM history WHERE reason LIKE '%the receiver is slow%'"
        assert await rig.fetch(waited)
