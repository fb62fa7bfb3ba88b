"""One connection kept up: several URLs, wires cut at the worst moment, servers that say nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import ENOSPC
from itertools import chain, repeat
from time import monotonic
from unittest.mock import Mock
from urllib.parse import urlsplit, urlunsplit

import pytest
from tests.support.broker_rig import LANE, QUORUM, SMALL, BrokerRig, settings_of
from tests.support.relay import Relay
from tests.support.worker_rig import eventually

from tidings.broker.connection import BrokerConnection
from tidings.broker.consumer import BrokerDelivery, Consumer, Subscription
from tidings.delivery.errors import BrokerUnavailable
from tidings_local.management import Management


async def test_it_is_up_once_the_topology_is_declared(broker_url: str, rig: BrokerRig) -> None:
    connection = BrokerConnection(settings_of(broker_url), "test", topology=SMALL)
    assert not connection.up
    async with connection:
        await connection.get()
        assert connection.up
        await rig.publish("email.high", b"x")
    assert not connection.up


async def test_its_name_is_what_operators_see(broker_url: str, management: Management) -> None:
    async with BrokerConnection(
        settings_of(broker_url), "tidings worker web-1 (consume)"
    ) as connection:
        await connection.get()

        async def named() -> bool:
            names = {listed.get("user_provided_name") for listed in await management.connections()}
            return names == {"tidings worker web-1 (consume)"}

        await eventually(named, within=20)


async def test_without_a_topology_nothing_is_declared(
    broker_url: str, management: Management
) -> None:
    async with BrokerConnection(settings_of(broker_url), "test") as connection:
        await connection.get()
        assert await management.queues() == []


async def test_several_urls_are_tried_in_turn(broker_url: str, unused_tcp_port: int) -> None:
    settings = settings_of(f"amqp://127.0.0.1:{unused_tcp_port}/", broker_url)
    async with BrokerConnection(settings, "test") as connection:
        await connection.get()
        assert connection.up


async def test_an_error_while_an_error_is_told_does_not_end_the_task_that_connects(
    broker_url: str, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = Mock(side_effect=chain([OSError(ENOSPC, "No space left on device")], repeat(None)))
    monkeypatch.setattr("tidings.broker.connection.log.warning", warning)
    settings = settings_of(f"amqp://127.0.0.1:{unused_tcp_port}/", broker_url)
    async with BrokerConnection(settings, "test") as connection:
        await eventually(lambda: warning.call_count > 1)  # the first URL is tried first again
        await connection.get()
        assert connection.up


async def test_no_broker_at_all_is_said_with_its_address_and_no_password(
    unused_tcp_port: int,
) -> None:
    settings = settings_of(f"amqp://me:hunter2@127.0.0.1:{unused_tcp_port}/")
    async with BrokerConnection(settings, "test") as connection:
        with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{unused_tcp_port}") as caught:
            await connection.get(timeout=0.5)
    assert "within 0.5s" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_said_to_be_one(broker_url: str) -> None:
    parts = urlsplit(broker_url)
    wrong = urlunsplit(
        parts._replace(netloc=f"{parts.username}:hunter2@{parts.hostname}:{parts.port}")
    )
    async with BrokerConnection(settings_of(wrong), "test") as connection:
        with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED") as caught:
            await connection.get(timeout=0.5)
    assert "hunter2" not in str(caught.value)


async def test_a_virtual_host_that_does_not_exist_is_said_to_be_missing(broker_url: str) -> None:
    missing = urlunsplit(urlsplit(broker_url)._replace(path="/nosuch"))
    async with BrokerConnection(settings_of(missing), "test") as connection:
        with pytest.raises(BrokerUnavailable, match="no such virtual host"):
            await connection.get(timeout=0.5)


async def test_a_topology_that_differs_is_named_to_whoever_waits(
    broker_url: str, rig: BrokerRig
) -> None:
    await rig.channel.declare_queue(LANE, durable=True, arguments=QUORUM)
    async with BrokerConnection(settings_of(broker_url), "test", topology=SMALL) as connection:
        with pytest.raises(BrokerUnavailable, match=f"the queue {LANE} exists with other"):
            await connection.get(timeout=0.5)
        assert not connection.up
        await rig.channel.queue_delete(LANE)
        await connection.get(timeout=10)
        assert connection.up


async def test_somebody_who_says_nothing_is_given_up_in_time(broker_url: str) -> None:
    async with Relay(broker_url) as relay:
        relay.hold_replies()
        settings = settings_of(relay.url, broker_url, timeout=0.5)
        started = monotonic()
        async with BrokerConnection(settings, "test") as connection:
            await connection.get(timeout=10)
            assert connection.up
        assert monotonic() - started < 8


async def test_closing_ends_it_while_nobody_answers(broker_url: str) -> None:
    async with Relay(broker_url) as relay:
        relay.hold_replies()
        async with asyncio.timeout(8):
            async with BrokerConnection(settings_of(relay.url), "test") as connection:
                await eventually(lambda: relay.connections)
            assert not connection.up


async def test_whoever_waits_is_told_when_it_is_up_again(broker_url: str) -> None:
    async with (
        Relay(broker_url) as relay,
        BrokerConnection(settings_of(relay.url), "test") as connection,
    ):
        first = await connection.get()
        relay.cut()
        await eventually(lambda: not connection.up)
        assert await connection.get(timeout=10) is not first
        assert first.is_closed
        assert connection.up


@asynccontextmanager
async def consuming(
    url: str,
) -> AsyncIterator[tuple[BrokerConnection, Consumer, list[BrokerDelivery]]]:
    deliveries: list[BrokerDelivery] = []
    consumer = Consumer([Subscription(LANE, 10)], deliveries.append, 5.0)
    connection = BrokerConnection(settings_of(url), "test", topology=SMALL, consumers=[consumer])
    async with connection:
        yield connection, consumer, deliveries


async def test_a_wire_cut_again_and_again_is_connected_again(
    broker_url: str, declared: BrokerRig
) -> None:
    async with Relay(broker_url) as relay, consuming(relay.url) as (connection, consumer, got):
        for number in range(5):
            await eventually(lambda: consumer.ready, within=20)
            await declared.publish("email.high", str(number).encode())
            await eventually(lambda number=number: number_of(got, number))
            got[-1].ack()
            relay.cut()
            await eventually(lambda: not connection.up)
        await eventually(lambda: consumer.ready, within=20)
        assert relay.connections >= 6


def number_of(got: list[BrokerDelivery], number: int) -> bool:
    return bool(got) and got[-1].message.body == str(number).encode()


@pytest.mark.parametrize("replies", range(1, 12))
async def test_a_wire_cut_at_any_step_of_connecting_is_connected_again(
    broker_url: str, declared: BrokerRig, replies: int
) -> None:
    # Greeting, tuning, opening, declaring, consuming: whoever waits for an answer just then.
    async with Relay(broker_url) as relay:
        relay.cut_after(replies)
        async with consuming(relay.url) as (connection, consumer, got):
            await declared.publish("email.high", b"x")
            await eventually(lambda: got, within=20)
            await eventually(lambda: consumer.ready and connection.up)
            assert relay.connections == 2
