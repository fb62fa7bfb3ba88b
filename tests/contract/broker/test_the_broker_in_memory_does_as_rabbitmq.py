"""The simulation's broker and a real one, seen through the same client code: what each does with a message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from tests.doubles.faults import no_faults
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.memory_channel import MemoryChannel
from tests.doubles.memory_network import MemoryNetwork
from tests.support.broker_rig import LANE, SMALL, settings_of

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.layout import DEAD, RETRY, Topology
from tidings.broker.wire.amqp import CONNECTION_ERRORS, FramedConnection, connect, open_channel
from tidings.broker.wire.confirms import ConfirmingChannel, Returned
from tidings.broker.wire.frames import DeliverFrame
from tidings.broker.wire.properties import our_properties
from tidings.delivery.attempt import Message
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


IN_MEMORY = {"in memory": True, "in memory, as 4.3": False}
"""Whether it counts nacks."""


@pytest.fixture(params=["RabbitMQ", *IN_MEMORY])
async def connection(
    request: pytest.FixtureRequest, broker_url: str
) -> AsyncIterator[FramedConnection]:
    """To either broker, the topology declared."""
    settings: BrokerSettings = settings_of(broker_url)
    trouble = no_faults()
    loop = asyncio.get_running_loop()
    broker = MemoryBroker(loop, trouble, counts_nacks=IN_MEMORY.get(request.param, True))
    network = MemoryNetwork(loop, broker, trouble, MemoryChannel)
    way = connect if request.param == "RabbitMQ" else network.connect
    connection = await way(broker_url, settings, "contract")
    await declare(connection, limited(), settings.amqp_timeout)
    yield connection
    with suppress(*CONNECTION_ERRORS):
        await connection.close()


class Reader:
    """Takes a queue's messages on a channel of its own, as a consumer does."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._arrived: asyncio.Queue[tuple[Message, DeliverFrame]] = asyncio.Queue()

    @classmethod
    async def of(cls, connection: FramedConnection, queue: str) -> "Reader":
        reader = cls(await open_channel(connection, 5))
        connection.frames.take(
            reader.channel.number,
            lambda arrival, message: reader._arrived.put_nowait((message, arrival)),
        )
        await reader.channel.basic_qos(prefetch_count=10, timeout=5)
        await reader.channel.basic_consume(queue, never, timeout=5)
        return reader

    async def next(self) -> tuple[Message, DeliverFrame]:
        async with asyncio.timeout(10):
            return await self._arrived.get()


async def never(_: DeliveredMessage) -> None:
    """`Frames` takes every message before aiormq sees it."""


async def publish(connection: FramedConnection, exchange: str, key: str, body: bytes) -> None:
    channel = ConfirmingChannel(await open_channel(connection, 5), connection.frames)
    message_id = f"{key} {body[:20]!r}"
    properties = our_properties(message_id, {"x-tidings-attempt": 1})
    await channel.basic_publish(
        *(body, message_id),
        exchange=exchange,
        routing_key=key,
        properties=properties,
        mandatory=True,
        within=5,
    )


def deaths(message: Message) -> list[tuple[str, str]]:
    return [(death["queue"], death["reason"]) for death in message.headers.get("x-death", [])]


async def test_a_key_leads_to_its_lane_and_what_has_none_to_the_dead_letters(
    connection: FramedConnection,
) -> None:
    await publish(connection, EXCHANGE, "email.high.and.more", b"lane")
    await publish(connection, EXCHANGE, "fax.high", b"nowhere")
    lane, dead = await Reader.of(connection, LANE), await Reader.of(connection, DEAD)
    for reader, key, body in (
        (lane, "email.high.and.more", b"lane"),
        (dead, "fax.high", b"nowhere"),
    ):
        message, arrival = await reader.next()
        assert (message.body, arrival.exchange, arrival.routing_key) == (body, EXCHANGE, key)
        assert (arrival.redelivered, deaths(message)) == (False, [])


async def test_a_body_larger_than_a_frame_arrives_whole(connection: FramedConnection) -> None:
    body = b"0123456789abcdef" * 20_000
    await publish(connection, EXCHANGE, "email.high", body)
    message, _ = await (await Reader.of(connection, LANE)).next()
    assert message.body == body


async def test_what_leads_nowhere_at_all_is_returned(connection: FramedConnection) -> None:
    with pytest.raises(Returned):
        await publish(connection, RETRY, "email.high.7d", b"no such retry queue")


async def test_a_tier_s_message_comes_back_to_its_lane_when_its_time_is_over(
    connection: FramedConnection,
) -> None:
    lane = await Reader.of(connection, LANE)
    await publish(connection, RETRY, "email.high.1s", b"again")
    began = asyncio.get_running_loop().time()
    message, arrival = await lane.next()
    assert asyncio.get_running_loop().time() - began > 0.8
    assert (message.body, arrival.exchange, arrival.routing_key) == (
        b"again",
        EXCHANGE,
        "email.high.1s",
    )
    assert deaths(message) == [("tidings.email.retry.1s", "expired")]
    assert message.headers["x-tidings-attempt"] == 1


async def test_what_comes_back_is_counted_and_at_its_limit_a_dead_letter(
    connection: FramedConnection,
) -> None:
    lane, dead = await Reader.of(connection, LANE), await Reader.of(connection, DEAD)
    await publish(connection, EXCHANGE, "email.high", b"poison")
    for times in range(LIMIT + 1):
        message, arrival = await lane.next()
        assert message.headers.get("x-delivery-count", 0) == times
        assert arrival.redelivered == (times > 0)
        await lane.channel.basic_reject(arrival.tag, requeue=True, wait=False)
    message, arrival = await dead.next()
    assert (message.body, arrival.routing_key) == (b"poison", "email.high")
    assert deaths(message) == [(LANE, "delivery_limit")]


async def test_a_nack_counts_towards_the_limit_up_to_rabbitmq_4_2(
    connection: FramedConnection,
) -> None:
    lane = await Reader.of(connection, LANE)
    await publish(connection, EXCHANGE, "email.high", b"later")
    for times in range(LIMIT + 1):
        message, arrival = await lane.next()
        counted = message.headers.get("x-delivery-count", 0)
        acquired = message.headers.get("x-acquired-count")
        assert (counted, acquired) in {(times, None), (0, times or None)}
        await lane.channel.basic_nack(arrival.tag, requeue=True, wait=False)
    if acquired is None:
        message, _ = await (await Reader.of(connection, DEAD)).next()
        assert deaths(message) == [(LANE, "delivery_limit")]
    else:
        assert (await lane.next())[0].headers["x-acquired-count"] == LIMIT + 1


async def test_what_a_closed_channel_held_goes_to_the_next_and_what_was_settled_does_not(
    connection: FramedConnection,
) -> None:
    first = await Reader.of(connection, LANE)
    for body in (b"one", b"two", b"three"):
        await publish(connection, EXCHANGE, "email.high", body)
    tags = [(await first.next())[1].tag for _ in range(3)]
    await first.channel.basic_ack(tags[1], multiple=True, wait=False)
    await first.channel.close()
    second = await Reader.of(connection, LANE)
    message, arrival = await second.next()
    assert (message.body, arrival.redelivered) == (b"three", True)


async def test_settling_twice_closes_the_channel(connection: FramedConnection) -> None:
    reader = await Reader.of(connection, LANE)
    await publish(connection, EXCHANGE, "email.high", b"once")
    _, arrival = await reader.next()
    for _ in range(2):
        await reader.channel.basic_ack(arrival.tag, wait=False)
    await asyncio.wait([reader.channel.closing], timeout=10)
    assert reader.channel.is_closed
