"""The simulation's broker and a real one, seen through the same client code: what each does with a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import PublishError
from pamqp import commands as spec
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.memory_channel import MemoryChannel
from tests.doubles.memory_network import MemoryNetwork
from tests.doubles.trouble import calm
from tests.support.broker_rig import LANE, SMALL, settings_of

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.layout import DEAD, RETRY, Topology
from tidings.broker.wire.amqp import CONNECTION_ERRORS, connect, open_channel
from tidings.settings import BrokerSettings
from tidings_events.routing import EXCHANGE

LIMIT = 2


def limited() -> Topology:
    """The topology with a delivery limit that is soon reached."""
    queues = tuple(
        replace(queue, arguments={**queue.arguments, "x-delivery-limit": LIMIT})
        if queue.name == LANE
        else queue
        for queue in SMALL.queues
    )
    return replace(SMALL, queues=queues)


@pytest.fixture(params=["RabbitMQ", "in memory"])
async def connection(
    request: pytest.FixtureRequest, broker_url: str
) -> AsyncIterator[AbstractConnection]:
    """To either broker, the topology declared."""
    settings: BrokerSettings = settings_of(broker_url)
    trouble = calm()
    loop = asyncio.get_running_loop()
    network = MemoryNetwork(loop, MemoryBroker(loop, trouble), trouble, MemoryChannel)
    way = connect if request.param == "RabbitMQ" else network.connect
    connection = await way(broker_url, settings, "contract")
    await declare(connection, limited(), settings.amqp_timeout)
    yield connection
    with suppress(*CONNECTION_ERRORS):
        await connection.close()


class Reader:
    """Takes a queue's messages on a channel of its own."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()

    @classmethod
    async def of(cls, connection: AbstractConnection, queue: str) -> "Reader":
        reader = cls(await open_channel(connection, 5))
        await reader.channel.basic_qos(prefetch_count=10, timeout=5)
        await reader.channel.basic_consume(queue, reader._arrived.put, timeout=5)
        return reader

    async def next(self) -> tuple[DeliveredMessage, spec.Basic.Deliver]:
        async with asyncio.timeout(10):
            message = await self._arrived.get()
        assert isinstance(message.delivery, spec.Basic.Deliver)
        return message, message.delivery


async def publish(connection: AbstractConnection, exchange: str, key: str, body: bytes) -> None:
    channel = await open_channel(connection, 5)
    properties = spec.Basic.Properties(
        delivery_mode=2, message_id=f"{key} {body!r}", headers={"x-tidings-attempt": 1}
    )
    await channel.basic_publish(
        body, exchange=exchange, routing_key=key, properties=properties, mandatory=True
    )


def deaths(message: DeliveredMessage) -> list[tuple[str, str]]:
    headers = message.header.properties.headers or {}
    return [(death["queue"], death["reason"]) for death in headers.get("x-death", [])]


async def test_a_key_leads_to_its_lane_and_what_has_none_to_the_dead_letters(
    connection: AbstractConnection,
) -> None:
    await publish(connection, EXCHANGE, "email.high.and.more", b"lane")
    await publish(connection, EXCHANGE, "fax.high", b"nowhere")
    lane, dead = await Reader.of(connection, LANE), await Reader.of(connection, DEAD)
    for reader, key, body in (
        (lane, "email.high.and.more", b"lane"),
        (dead, "fax.high", b"nowhere"),
    ):
        message, frame = await reader.next()
        assert (message.body, frame.exchange, frame.routing_key) == (body, EXCHANGE, key)
        assert (frame.redelivered, deaths(message)) == (False, [])


async def test_what_leads_nowhere_at_all_is_returned(connection: AbstractConnection) -> None:
    with pytest.raises(PublishError):
        await publish(connection, RETRY, "email.high.7d", b"no such tier")


async def test_a_tier_s_message_comes_back_to_its_lane_when_its_time_is_over(
    connection: AbstractConnection,
) -> None:
    lane = await Reader.of(connection, LANE)
    await publish(connection, RETRY, "email.high.1s", b"again")
    began = asyncio.get_running_loop().time()
    message, frame = await lane.next()
    assert asyncio.get_running_loop().time() - began > 0.8
    assert (message.body, frame.exchange, frame.routing_key) == (
        b"again",
        EXCHANGE,
        "email.high.1s",
    )
    assert deaths(message) == [("tidings.email.retry.1s", "expired")]
    assert (message.header.properties.headers or {})["x-tidings-attempt"] == 1


async def test_what_comes_back_is_counted_and_at_its_limit_a_dead_letter(
    connection: AbstractConnection,
) -> None:
    lane, dead = await Reader.of(connection, LANE), await Reader.of(connection, DEAD)
    await publish(connection, EXCHANGE, "email.high", b"poison")
    for times in range(LIMIT + 1):
        message, frame = await lane.next()
        assert (message.header.properties.headers or {}).get("x-delivery-count", 0) == times
        assert frame.redelivered == (times > 0)
        await lane.channel.basic_reject(frame.delivery_tag or 0, requeue=True, wait=False)
    message, frame = await dead.next()
    assert (message.body, frame.routing_key) == (b"poison", "email.high")
    assert deaths(message) == [(LANE, "delivery_limit")]


async def test_what_a_closed_channel_held_goes_to_the_next_and_what_was_settled_does_not(
    connection: AbstractConnection,
) -> None:
    first = await Reader.of(connection, LANE)
    for body in (b"one", b"two", b"three"):
        await publish(connection, EXCHANGE, "email.high", body)
    tags = [(await first.next())[1].delivery_tag or 0 for _ in range(3)]
    await first.channel.basic_ack(tags[1], multiple=True, wait=False)
    await first.channel.close()
    second = await Reader.of(connection, LANE)
    message, frame = await second.next()
    assert (message.body, frame.redelivered) == (b"three", True)


async def test_settling_twice_closes_the_channel(connection: AbstractConnection) -> None:
    reader = await Reader.of(connection, LANE)
    await publish(connection, EXCHANGE, "email.high", b"once")
    _, frame = await reader.next()
    for _ in range(2):
        await reader.channel.basic_ack(frame.delivery_tag or 0, wait=False)
    await asyncio.wait([reader.channel.closing], timeout=10)
    assert reader.channel.is_closed
