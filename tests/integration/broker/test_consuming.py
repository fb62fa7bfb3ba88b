"""Taking messages from a real RabbitMQ, through everything that ends a consumer."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from errno import ENOSPC
from itertools import chain, repeat
from unittest.mock import Mock
from urllib.parse import quote

import aio_pika
import aiormq
import pytest
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from tests.support.broker_rig import LANE, SMALL, BrokerRig, settings_of
from tests.support.relay import Relay
from tests.support.worker_rig import eventually

from tidings.broker.connection import BrokerConnection
from tidings.broker.consumer import BrokerDelivery, Consumer, Subscription
from tidings_local.management import Management

TIMEOUT = 5.0


@dataclass
class Taking:
    """A consumer on a connection of its own, and what it was handed."""

    connection: BrokerConnection
    consumer: Consumer
    deliveries: list[BrokerDelivery] = field(default_factory=list)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.message.body for delivery in self.deliveries]

    async def has(self, count: int, within: float = 10) -> None:
        """Wait until so many were handed over."""
        await eventually(lambda: len(self.deliveries) >= count, within)


@asynccontextmanager
async def taking(
    rig: BrokerRig,
    *queues: str,
    prefetch: int = 10,
    spare: int = 0,
    acking: bool = False,
    url: str | None = None,
) -> AsyncIterator[Taking]:
    subscriptions = [Subscription(queue, prefetch, spare) for queue in queues or (LANE,)]
    deliveries: list[BrokerDelivery] = []

    def receive(delivery: BrokerDelivery) -> None:
        deliveries.append(delivery)
        if acking:
            delivery.ack()

    consumer = Consumer(subscriptions, receive, TIMEOUT)
    settings = settings_of(url) if url else rig.settings
    connection = BrokerConnection(settings, "taking", topology=SMALL, consumers=[consumer])
    async with connection:
        await eventually(lambda: consumer.ready)
        yield Taking(connection, consumer, deliveries)
        await consumer.close()


def numbered(count: int, start: int = 0) -> Sequence[bytes]:
    return [str(number).encode() for number in range(start, start + count)]


async def left(rig: BrokerRig, count: int, queue: str = LANE) -> list[bytes]:
    """The bodies of so many messages that are in the queue, and of no more."""
    bodies = [(await rig.take(queue)).body for _ in range(count)]
    assert await rig.depth(queue) == 0
    return bodies


# What is handed over.


async def test_a_delivery_has_the_message_as_it_was_published(declared: BrokerRig) -> None:
    exchange = await declared.channel.get_exchange("tidings.notifications", ensure=False)
    async with taking(declared) as consumer:
        message = aio_pika.Message(
            b"{}",
            content_type="application/json",
            content_encoding="utf-8",
            message_id="m-1",
            headers={"x-tidings-attempt": 3, "traceparent": "00-a-b-01"},
        )
        await exchange.publish(message, "email.high.2m")
        await consumer.has(1)
    [delivery] = consumer.deliveries
    assert delivery.message.body == b"{}"
    assert delivery.message.routing_key == "email.high.2m"
    assert delivery.message.headers == {"x-tidings-attempt": 3, "traceparent": "00-a-b-01"}
    assert delivery.message.content_type == "application/json"
    assert delivery.message.content_encoding == "utf-8"
    assert delivery.message.message_id == "m-1"
    assert (delivery.queue, delivery.exchange) == (LANE, "tidings.notifications")
    assert (delivery.tag, delivery.redelivered) == (1, False)


async def test_a_message_without_properties_has_none(declared: BrokerRig) -> None:
    async with taking(declared) as consumer:
        exchange = await declared.channel.get_exchange("tidings.notifications", ensure=False)
        message = aio_pika.Message(b"")
        message.message_id = None
        await exchange.publish(message, "email.high", mandatory=False)
        await consumer.has(1)
    [delivery] = consumer.deliveries
    assert delivery.message.body == b""
    assert (delivery.message.content_type, delivery.message.content_encoding) == (None, None)


async def test_no_more_than_the_prefetch_is_handed_over_unsettled(declared: BrokerRig) -> None:
    await declared.publish("email.high", *numbered(12))
    async with taking(declared, prefetch=5) as consumer:
        await consumer.has(5)
        await eventually(lambda: waiting(declared, 7))
        assert len(consumer.deliveries) == 5
        consumer.deliveries[0].ack()
        await consumer.has(6)
        assert consumer.bodies == list(numbered(6))


async def test_acks_wait_for_a_slow_one_only_while_enough_is_left_to_work_on(
    declared: BrokerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.broker.wire.settlement.PATIENCE", 60.0)
    await declared.publish("email.high", *numbered(20))
    async with taking(declared, prefetch=10, spare=5) as consumer:
        await consumer.has(10)
        await asyncio.sleep(0.2)  # it has looked once: the next look is PATIENCE away
        for delivery in consumer.deliveries[1:6]:  # the first is slow
            delivery.ack()
        await asyncio.sleep(0.2)
        assert len(consumer.deliveries) == 10
        consumer.deliveries[6].ack()
        await consumer.has(16)


async def waiting(rig: BrokerRig, count: int, queue: str = LANE) -> bool:
    return await rig.depth(queue) == count


async def test_each_queue_has_its_own_prefetch(declared: BrokerRig) -> None:
    await declared.publish("email.high", *numbered(20))
    await declared.publish("email.low", *numbered(20))
    async with taking(declared, LANE, "tidings.email.low", prefetch=3) as consumer:
        await consumer.has(6)
        counts = [delivery.queue for delivery in consumer.deliveries]
        assert (counts.count(LANE), counts.count("tidings.email.low")) == (3, 3)


LOW = "tidings.email.low"


@dataclass
class Held:
    """What a consumer holds of each queue unsettled, and the most it ever held."""

    now: dict[str, list[BrokerDelivery]] = field(default_factory=lambda: {LANE: [], LOW: []})
    most: dict[str, int] = field(default_factory=lambda: {LANE: 0, LOW: 0})
    seen: int = 0
    acking: set[str] = field(default_factory=set)

    def receive(self, delivery: BrokerDelivery) -> None:
        self.seen += 1
        self.now[delivery.queue].append(delivery)
        self.most[delivery.queue] = max(self.most[delivery.queue], len(self.now[delivery.queue]))
        if delivery.queue in self.acking:
            self.ack(delivery.queue)

    def ack(self, queue: str, count: int | None = None) -> None:
        """Settle the oldest of a queue, or all."""
        for delivery in self.now[queue][:count]:
            self.now[queue].remove(delivery)
            delivery.ack()


@asynccontextmanager
async def holding(
    rig: BrokerRig, *queues: str, prefetch: int
) -> AsyncIterator[tuple[Consumer, Held]]:
    held = Held()
    consumer = Consumer([Subscription(queue, prefetch) for queue in queues], held.receive, TIMEOUT)
    connection = BrokerConnection(rig.settings, "holding", topology=SMALL, consumers=[consumer])
    async with connection:
        await eventually(lambda: consumer.ready)
        yield consumer, held
        await consumer.close()


async def test_large_messages_of_one_queue_make_no_other_hold_more_than_its_prefetch(
    declared: BrokerRig, management: Management, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.broker.adaptive_prefetch.WINDOW", 8)
    small, large = numbered(8), b"x" * 1024 * 1024
    await declared.publish("email.low", *numbered(300))
    async with holding(declared, LANE, LOW, prefetch=100) as (_, held):
        held.acking.add(LANE)  # and of the other one, for now, nothing is finished
        await eventually(lambda: len(held.now[LOW]) >= 100)
        for _ in range(4):
            seen = held.seen
            await declared.publish("email.high", large)
            await eventually(lambda: held.seen >= seen + 1)  # noqa: B023
            await eventually(lambda: asked_for(management, LOW, 32))
            await declared.publish("email.high", *small)
            await eventually(lambda: held.seen >= seen + 9)  # noqa: B023
        assert len(held.now[LOW]) == 100
        held.ack(LOW, 60)
        await eventually(lambda: len(held.now[LOW]) >= 100)
        held.ack(LOW)
        await eventually(lambda: len(held.now[LOW]) >= 100)
        held.acking.add(LOW)
        held.ack(LOW)
        await eventually(lambda: held.seen >= 300 + 4 * 9)
    assert held.most[LOW] == 100
    await left(declared, 0, LOW)


async def test_a_queue_whose_messages_turn_out_small_has_one_consumer_for_all_of_them(
    declared: BrokerRig, management: Management
) -> None:
    await declared.publish("email.high", *numbered(300))
    async with holding(declared, LANE, prefetch=100) as (_, held):
        held.acking.add(LANE)
        held.ack(LANE)
        await eventually(lambda: held.seen >= 300)
        await eventually(lambda: prefetches_are(management, LANE, [100]))


async def prefetches_are(management: Management, queue: str, wanted: list[int]) -> bool:
    return await prefetches(management, queue) == wanted


async def asked_for(management: Management, queue: str, most: int) -> bool:
    """Whether its consumers ask for no more than this between them."""
    return sum(await prefetches(management, queue)) <= most


async def prefetches(management: Management, queue: str) -> list[int]:
    """Of each of its consumers."""
    found = await management.call("GET", f"consumers/{quote(management.vhost, safe='')}")
    return [consumer["prefetch_count"] for consumer in found if consumer["queue"]["name"] == queue]


async def test_taking_nothing_for_a_while_makes_a_queue_hold_no_more_than_its_prefetch(
    declared: BrokerRig, management: Management
) -> None:
    await declared.publish("email.high", *numbered(60))
    async with holding(declared, LANE, prefetch=10) as (consumer, held):
        for taken in range(10, 40, 10):
            await eventually(lambda: held.seen >= taken)  # noqa: B023
            consumer.take(0)
            await eventually(lambda: asked_for(management, LANE, 0))
            held.ack(LANE, 4)
            consumer.take(1)  # to try a provider with
            await eventually(lambda: held.seen >= taken + 1)  # noqa: B023
            held.now[LANE].pop().ack()
            await eventually(lambda: held.seen >= taken + 2)  # noqa: B023
            consumer.take(None)
            held.ack(LANE, 5)
        held.acking.add(LANE)
        held.ack(LANE)
        await eventually(lambda: held.seen >= 60)
    assert held.most[LANE] == 10
    await left(declared, 0)


# Settling.


async def test_what_is_acknowledged_is_gone_and_what_is_not_comes_again(
    declared: BrokerRig,
) -> None:
    await declared.publish("email.high", *numbered(10))
    async with taking(declared) as consumer:
        await consumer.has(10)
        for delivery in consumer.deliveries[::2]:
            delivery.ack()
    assert sorted(await left(declared, 5)) == sorted(numbered(10)[1::2])


async def test_closing_sends_the_last_acks_first(declared: BrokerRig) -> None:
    await declared.publish("email.high", *numbered(10))
    async with taking(declared) as consumer:
        await consumer.has(10)
        for delivery in consumer.deliveries:
            delivery.ack()
        await consumer.consumer.close()
    assert await declared.depth() == 0
    await left(declared, 0)


async def test_one_slow_message_holds_up_none_of_the_others(declared: BrokerRig) -> None:
    await declared.publish("email.high", *numbered(60))
    async with taking(declared, prefetch=5) as consumer:
        settled = 1  # the first is slow
        async with asyncio.timeout(10):
            while len(consumer.deliveries) < 60:
                await asyncio.sleep(0.01)
                for delivery in consumer.deliveries[settled:]:
                    delivery.ack()
                settled = max(settled, len(consumer.deliveries))
        assert consumer.bodies == list(numbered(60))
        assert consumer.deliveries[0].alive
    assert await left(declared, 1) == [b"0"]


async def test_a_message_that_is_given_back_comes_again_and_the_others_don_t(
    declared: BrokerRig,
) -> None:
    await declared.publish("email.high", *numbered(5))
    async with taking(declared) as consumer:
        await consumer.has(5)
        consumer.deliveries[2].requeue()
        await consumer.has(6)
        again = consumer.deliveries[5]
        assert (again.message.body, again.redelivered) == (b"2", True)
        for delivery in consumer.deliveries:
            if delivery is not consumer.deliveries[2]:
                delivery.ack()
        assert consumer.deliveries[0].alive
    await left(declared, 0)


async def test_thousands_in_any_order_are_each_acknowledged_once(declared: BrokerRig) -> None:
    await declared.publish("email.high", *numbered(400))
    async with taking(declared, prefetch=200) as consumer:
        settled: set[int] = set()
        async with asyncio.timeout(30):
            while len(settled) < 400:
                await asyncio.sleep(0.002)
                ready = [place for place in range(len(consumer.deliveries)) if place not in settled]
                for place in sorted(ready, key=lambda place: place % 7)[::2] or ready:
                    consumer.deliveries[place].ack()
                    settled.add(place)
        assert consumer.deliveries[0].alive, "an ack for a tag it no longer holds closes a channel"
        assert len(consumer.deliveries) == 400
    await left(declared, 0)


# Losing the consumer, the channel, the connection.


async def test_a_queue_that_is_deleted_and_declared_again_is_consumed_again(
    declared: BrokerRig,
) -> None:
    async with taking(declared, LANE, "tidings.email.low") as consumer:
        await declared.publish("email.high", b"before")
        await consumer.has(1)
        await declared.channel.queue_delete(LANE)
        await eventually(lambda: not consumer.consumer.ready)
        await eventually(lambda: not consumer.deliveries[0].alive)
        await declared.publish("email.low", b"meanwhile")
        await consumer.has(2)
        await declared.declare()
        await eventually(lambda: consumer.consumer.ready, within=20)
        await declared.publish("email.high", b"after")
        await consumer.has(3)
    assert consumer.bodies == [b"before", b"meanwhile", b"after"]


async def test_a_channel_that_the_broker_closes_is_opened_again(declared: BrokerRig) -> None:
    async with taking(declared) as consumer:
        await declared.publish("email.high", b"held")
        await consumer.has(1)
        held = consumer.deliveries[0]
        held.settlement.ack(999)  # a tag that was never given out: RabbitMQ closes the channel
        await consumer.has(2)
        assert not held.alive
        again = consumer.deliveries[1]
        assert (again.message.body, again.redelivered, again.alive) == (b"held", True, True)
        held.ack()  # reaches nobody
        again.ack()
        await declared.publish("email.high", b"next")
        await consumer.has(3)
        consumer.deliveries[2].ack()
        assert consumer.deliveries[2].alive
    await left(declared, 0)


async def test_a_connection_that_an_operator_closes_comes_back_and_consumes(
    declared: BrokerRig, management: Management
) -> None:
    async with taking(declared) as consumer:
        await declared.publish("email.high", b"held")
        await consumer.has(1)
        await close(management, "taking")
        await eventually(lambda: not consumer.deliveries[0].alive)
        await consumer.has(2)
        again = consumer.deliveries[1]
        assert (again.message.body, again.redelivered, again.alive) == (b"held", True, True)
        again.ack()
        await eventually(lambda: consumer.consumer.ready)
        assert consumer.connection.up
    await left(declared, 0)


async def close(management: Management, name: str) -> None:
    """Close the connections of a name, once RabbitMQ lists them."""

    async def closed() -> bool:
        ours = [
            candidate
            for candidate in await management.connections()
            if candidate.get("user_provided_name") == name
        ]
        for mine in ours:
            await management.call("DELETE", f"connections/{mine['name']}", missing_ok=True)
        return bool(ours)

    await eventually(closed, within=20)


# Stopping.


async def test_stopping_takes_no_more_and_still_settles(declared: BrokerRig) -> None:
    async with taking(declared) as consumer:
        await declared.publish("email.high", b"held")
        await consumer.has(1)
        consumer.consumer.stop_taking()
        await eventually(lambda: not consumer.consumer.ready)
        await declared.publish("email.high", b"for somebody else")
        assert (await declared.take()).body == b"for somebody else"
        assert consumer.deliveries[0].alive
        consumer.deliveries[0].ack()
        await consumer.consumer.close()
    assert len(consumer.deliveries) == 1
    await left(declared, 0)


async def test_closing_gives_back_what_was_not_settled(declared: BrokerRig) -> None:
    async with taking(declared) as consumer:
        await declared.publish("email.high", *numbered(3))
        await consumer.has(3)
        await consumer.consumer.close()
        assert not any(delivery.alive for delivery in consumer.deliveries)
        assert await left(declared, 3) == list(numbered(3))
        assert consumer.connection.up


async def test_once_stopped_it_does_not_begin_again_on_the_next_connection(
    broker_url: str, declared: BrokerRig
) -> None:
    async with Relay(broker_url) as relay, taking(declared, url=relay.url) as consumer:
        consumer.consumer.stop_taking()
        await eventually(lambda: not consumer.consumer.ready)
        relay.cut()
        await eventually(lambda: not consumer.connection.up)
        await eventually(lambda: consumer.connection.up)
        await declared.publish("email.high", b"for somebody else")
        assert (await declared.take()).body == b"for somebody else"
    assert not consumer.deliveries


async def test_acks_and_new_messages_flow_while_another_queue_is_gone(
    declared: BrokerRig,
) -> None:
    async with taking(declared, LANE, "tidings.email.low", prefetch=1, acking=True) as consumer:
        await declared.channel.queue_delete(LANE)
        await declared.publish("email.low", *numbered(20))
        await consumer.has(20)
    assert consumer.bodies == list(numbered(20))
    await left(declared, 0, "tidings.email.low")


# What a hostile producer may write.


async def test_headers_that_nest_without_end_take_no_connection_and_no_neighbour_down(
    broker_url: str, declared: BrokerRig
) -> None:
    async with taking(declared) as consumer:
        await declared.publish("email.high", b"before")
        await publish_nested(broker_url, depth=2000)
        await declared.publish("email.high", b"after")
        await consumer.has(3)
        assert all(delivery.alive for delivery in consumer.deliveries)
    assert consumer.bodies == [b"before", b"nested", b"after"]
    assert consumer.deliveries[1].message.headers == {}


class RawHeader(ContentHeader):
    """Headers as another client writes them: this one's would not nest so deep."""

    wire = b""

    def marshal(self) -> bytes:
        return struct.pack(">HxxQ", Basic.frame_id, self.body_size) + self.wire


async def publish_nested(url: str, depth: int) -> None:
    value = b""
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    table = b"\x01x" + value
    header = RawHeader(body_size=len(b"nested"))
    header.wire = struct.pack(">HI", 1 << 13, len(table)) + table
    publish = Basic.Publish(exchange="tidings.notifications", routing_key="email.high")
    async with aiormq.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=False)
        frames = [publish, header, ContentBody(b"nested")]
        await channel.write_queue.put(
            ChannelFrame.marshall(channel_number=channel.number, frames=frames)
        )
        await channel.basic_qos(prefetch_count=1)  # its answer says that the rest has arrived


async def test_a_message_that_can_t_be_taken_is_given_back_and_its_connection_stays(
    declared: BrokerRig,
) -> None:
    taken: list[BrokerDelivery] = []

    def receive(delivery: BrokerDelivery) -> None:
        if not delivery.redelivered:
            raise KeyError("nobody foresaw this")
        taken.append(delivery)
        delivery.ack()

    consumer = Consumer([Subscription(LANE, 10)], receive, TIMEOUT)
    connection = BrokerConnection(declared.settings, "taking", topology=SMALL, consumers=[consumer])
    async with connection:
        await eventually(lambda: consumer.ready)
        live = await connection.get()
        await declared.publish("email.high", *numbered(3))
        await eventually(lambda: len(taken) == 3)
        assert await connection.get() is live
        await consumer.close()


async def test_an_error_while_an_error_is_told_does_not_end_the_task_that_consumes(
    declared: BrokerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(ENOSPC, "No space left on device")
    warning = Mock(side_effect=chain([None, full], repeat(None)))
    async with taking(declared) as consumer:
        monkeypatch.setattr("tidings.broker.consumer.log.warning", warning)
        for _ in range(2):  # a queue that is deleted ends its consumer
            await declared.channel.queue_delete(LANE)
            await eventually(lambda: not consumer.consumer.ready)
            await eventually(lambda: consumer.consumer.ready, within=20)
        assert warning.called
        await declared.publish("email.high", b"x")
        await consumer.has(1)
