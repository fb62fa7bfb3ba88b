"""Whose name server does not answer delays nobody else, on any channel."""

import asyncio
import base64
import threading

import pytest
from tests.contract.channels.rig import request_for
from tests.contract.channels.rigs.smtp_relay import Relay
from tests.integration.channels.email_setup import channel_to, mail
from tests.integration.channels.raw_server import http, serving
from tests.support.hanging_names import HANGS, TAIL, hanging_names

from tidings.channels.network.lookups import MOST, OF_A_ZONE
from tidings.channels.webhook.channel import WebhookChannel
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import Unavailable
from tidings.delivery.ports import Content, SendRequest

SECRET = "whsec_" + base64.b64encode(b"hanging" * 4).decode()


def webhook(url: str, timeout: float) -> SendRequest:
    written = {"channel": "webhook", "recipient": url, "event_type": "e", "payload": {}}
    return request_for(written, Content(""), timeout=timeout)


async def test_webhooks_beside_a_hundred_whose_names_hang_are_sent_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = WebhookSettings(secret=SECRET, allow_private=True, concurrency=50)
    channel = WebhookChannel(settings)
    async with serving(http("204 No Content")) as receiver:
        with hanging_names(monkeypatch) as resolver:
            waiting = [
                asyncio.create_task(
                    channel.send(webhook(f"https://x{number % 20}{TAIL}/{number}", 4.0))
                )
                for number in range(100)
            ]
            async with asyncio.timeout(5):
                while resolver.hanging < 6:  # threads know no events
                    await asyncio.sleep(0.005)

            for _ in range(10):
                request = webhook(f"http://localhost:{receiver.port}/", 10.0)
                async with asyncio.timeout(1):
                    await channel.send(request)

            results = await asyncio.gather(*waiting, return_exceptions=True)
        await channel.close()
    assert all(isinstance(each, Unavailable) for each in results), results


async def test_names_of_two_hundred_domains_that_hang_delay_no_receiver_whose_name_was_found_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel = WebhookChannel(WebhookSettings(secret=SECRET, allow_private=True))
    async with serving(http("204 No Content")) as receiver:  # no connection is kept
        with hanging_names(monkeypatch) as resolver:
            await channel.send(webhook(f"http://localhost:{receiver.port}/", 10.0))
            waiting = [
                asyncio.create_task(channel.send(webhook(f"https://www.d{number}{HANGS}/", 4.0)))
                for number in range(200)
            ]
            async with asyncio.timeout(5):
                while resolver.hanging < MOST:  # threads know no events
                    await asyncio.sleep(0.005)

            for name in ("localhost", "LOCALHOST"):  # aiohttp would remember the first
                async with asyncio.timeout(1):
                    await channel.send(webhook(f"http://{name}:{receiver.port}/", 10.0))

            resolver.let_go.set()
            results = await asyncio.gather(*waiting, return_exceptions=True)
        await channel.close()
    assert all(isinstance(each, Unavailable) for each in results), results


async def test_names_of_webhooks_that_were_given_up_are_not_looked_up_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidings.channels.network.system_resolver.PATIENCE", 0.3, raising=False)
    channel = WebhookChannel(WebhookSettings(secret=SECRET, allow_private=True))
    with hanging_names(monkeypatch) as resolver:
        sends = (channel.send(webhook(f"https://x{n}{TAIL}/", 0.4)) for n in range(60))
        results = await asyncio.gather(*sends, return_exceptions=True)
        await asyncio.sleep(0.4)
        resolver.let_go.set()
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)
        await channel.close()

    assert all(isinstance(each, Unavailable) for each in results), results
    assert len(resolver.queries) == OF_A_ZONE


async def test_a_relay_is_found_though_every_thread_of_the_loop_is_taken() -> None:
    loop, let_go = asyncio.get_running_loop(), threading.Event()
    taken = [loop.run_in_executor(None, let_go.wait, 20) for _ in range(64)]
    try:
        async with Relay() as relay, channel_to(relay, host="localhost") as channel:
            await channel.send(mail(timeout=2))

            assert len(relay.mails) == 1
    finally:
        let_go.set()
        await asyncio.gather(*taken)


async def test_a_relay_whose_name_hangs_is_unavailable_and_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hanging_names(monkeypatch) as resolver:
        async with (
            Relay() as relay,
            channel_to(relay, host=f"relay{TAIL}", connections=10) as channel,
        ):
            mails = (channel.send(mail(timeout=0.2)) for _ in range(10))
            results = await asyncio.gather(*mails, return_exceptions=True)
            resolver.let_go.set()

    assert all(isinstance(each, Unavailable) for each in results), results
    assert resolver.most == 1
