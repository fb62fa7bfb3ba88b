"""Changes of inboxes are announced to every process that listens, and whoever may have missed one is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from tests.support.broker_rig import settings_of
from tests.support.inbox_rig import Heard
from tests.support.relay import Relay
from tests.support.worker_rig import eventually

from tidings.broker.inbox_hints import InboxHintConsumer, InboxHintPublisher
from tidings.delivery.inbox import InboxChange
from tidings_local.management import Management

ADA, BOB = InboxChange("default", "ada", 7), InboxChange("acme", "bob", 3)


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Heard]:
    """A process that listens."""
    heard = Heard()
    async with InboxHintConsumer(settings_of(url), "listening", heard) as consumer:
        await eventually(lambda: consumer.hears)
        yield heard


async def test_every_process_that_listens_hears_of_a_change(broker_url: str) -> None:
    async with (
        listening(broker_url) as first,
        listening(broker_url) as second,
        InboxHintPublisher(settings_of(broker_url), "announcing") as hints,
    ):
        hints.announce([ADA, BOB])
        await eventually(lambda: first.changes and second.changes)

    assert first.changes == second.changes == [ADA, BOB]
    assert first.misses == second.misses == 1  # what changed before they listened


async def test_nothing_is_opened_where_nothing_is_announced(
    broker_url: str, management: Management
) -> None:
    async with InboxHintPublisher(settings_of(broker_url), "never announcing"):
        await asyncio.sleep(0)
        assert await management.connections() == []


async def test_of_several_changes_of_one_user_the_last_is_announced(broker_url: str) -> None:
    async with (
        listening(broker_url) as heard,
        InboxHintPublisher(settings_of(broker_url), "announcing") as hints,
    ):
        hints.announce([ADA])
        hints.announce([InboxChange("default", "ada", 8)])
        await eventually(lambda: heard.changes)

    assert heard.changes == [InboxChange("default", "ada", 8)]


async def test_of_changes_that_are_heard_of_in_another_order_the_highest_is_announced(
    broker_url: str,
) -> None:
    async with (
        listening(broker_url) as heard,
        InboxHintPublisher(settings_of(broker_url), "announcing") as hints,
    ):
        hints.announce([InboxChange("default", "ada", 9)])
        hints.announce([InboxChange("default", "ada", 8)])
        await eventually(lambda: heard.changes)

    assert heard.changes == [InboxChange("default", "ada", 9)]


async def test_what_is_announced_last_is_heard_although_the_process_ends(broker_url: str) -> None:
    async with listening(broker_url) as heard:
        async with InboxHintPublisher(settings_of(broker_url), "announcing") as hints:
            hints.announce([ADA])
        await eventually(lambda: heard.changes)

    assert heard.changes == [ADA]


async def test_what_changed_while_rabbitmq_was_away_is_announced_when_it_is_back(
    broker_url: str,
) -> None:
    async with (
        listening(broker_url) as heard,
        Relay(broker_url) as relay,
        InboxHintPublisher(settings_of(relay.url), "announcing") as hints,
    ):
        hints.announce([ADA])
        await eventually(lambda: heard.changes)
        relay.cut()
        await eventually(lambda: not hints.connected)
        hints.announce([BOB])
        hints.announce([InboxChange("default", "ada", 9)])
        await eventually(lambda: len(heard.changes) == 3)


async def test_who_lost_the_connection_is_told_to_look_at_once_and_when_it_is_back(
    broker_url: str,
) -> None:
    heard = Heard()
    async with (
        Relay(broker_url) as relay,
        InboxHintConsumer(settings_of(relay.url), "listening", heard) as consumer,
    ):
        await eventually(lambda: consumer.hears)
        assert heard.misses == 1
        relay.cut()
        await eventually(lambda: not consumer.hears)
        assert heard.misses == 2
        await eventually(lambda: consumer.hears)
        assert heard.misses == 3


async def test_a_gap_in_the_numbers_of_a_publisher_is_told_as_missed(broker_url: str) -> None:
    lost: list[int] = []
    async with (
        listening(broker_url) as heard,
        InboxHintPublisher(settings_of(broker_url), "announcing", lost.append) as hints,
    ):
        hints.announce([ADA])
        await eventually(lambda: heard.changes)
        hints.announce([InboxChange("default", str(number), 1) for number in range(10_001)])
        hints.announce([BOB])
        await eventually(lambda: BOB in heard.changes)

    assert lost == [10_001]
    assert heard.changes == [ADA, BOB]
    assert heard.misses == 2


async def test_an_exchange_that_was_deleted_is_made_again_and_listened_to(broker_url: str) -> None:
    heard = Heard()
    async with (
        InboxHintConsumer(settings_of(broker_url), "listening", heard, bind_every=0.2) as consumer,
        InboxHintPublisher(settings_of(broker_url), "announcing") as hints,
    ):
        await eventually(lambda: consumer.hears)
        connection = await aio_pika.connect(broker_url)
        async with connection, connection.channel() as channel:
            await channel.exchange_delete("tidings.inbox")

        async def announced() -> bool:
            hints.announce([BOB])
            return BOB in heard.changes

        await eventually(announced)


async def test_a_message_of_nobody_we_know_is_told_as_missed(broker_url: str) -> None:
    async with listening(broker_url) as heard:
        connection = await aio_pika.connect(broker_url)
        async with connection, connection.channel() as channel:
            exchange = await channel.get_exchange("tidings.inbox")
            for body in (b"", b"[]", b'{"from":"x","number":1,"users":[["a"]]}'):
                await exchange.publish(aio_pika.Message(body), "")
        await eventually(lambda: heard.misses == 4)

    assert heard.changes == []
