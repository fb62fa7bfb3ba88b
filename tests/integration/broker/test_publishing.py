"""Publishing to a real RabbitMQ: confirmed, or an error that says what to do; never in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import aio_pika
import pytest
from tests.support.broker_rig import LANE, QUORUM, SMALL, BrokerRig, broker_rig, settings_of
from tests.support.relay import Relay
from tests.support.worker_rig import eventually

from tidings.broker.connection import BrokerConnection
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.topology.layout import Topology
from tidings.delivery.errors import BrokerUnavailable
from tidings_local.management import Management
from tidings_local.rabbitmq import RabbitMQ

LIMIT = 2.0


@asynccontextmanager
async def publishing(
    url: str, *, topology: Topology | None = SMALL, timeout: float = LIMIT
) -> AsyncIterator[BrokerPublisher]:
    settings = settings_of(url, timeout=timeout)
    async with BrokerConnection(settings, "publishing", topology=topology) as connection:
        await connection.get(timeout=10)
        yield BrokerPublisher(settings, connection)


async def publish(publisher: BrokerPublisher, body: bytes = b"x", key: str = "email.high") -> None:
    await publisher.publish("tidings.notifications", key, body, {"x-tidings-attempt": 2})


async def test_what_was_published_is_there_persistent_and_as_it_was_given(
    broker_url: str, rig: BrokerRig
) -> None:
    async with publishing(broker_url) as publisher:
        await publisher.publish(
            "tidings.notifications", "email.high.2m", b"{}", {"x-tidings-attempt": 2}, "text/plain"
        )
    message = await rig.take()
    assert (message.body, message.routing_key) == (b"{}", "email.high.2m")
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "text/plain"
    ours = {name: value for name, value in message.headers.items() if name != "x-delivery-count"}
    assert ours == {"x-tidings-attempt": 2}


async def test_each_publish_has_an_id_of_its_own(broker_url: str, rig: BrokerRig) -> None:
    async with publishing(broker_url) as publisher:
        await asyncio.gather(*(publish(publisher) for _ in range(20)))
    assert len({(await rig.take()).message_id for _ in range(20)}) == 20


async def test_hundreds_at_once_are_all_confirmed_and_all_there(
    broker_url: str, rig: BrokerRig
) -> None:
    bodies = {str(number).encode() for number in range(500)}
    async with publishing(broker_url, timeout=20.0) as publisher:
        await asyncio.gather(*(publish(publisher, body) for body in bodies))
    assert {(await rig.take()).body for _ in bodies} == bodies


# Where nothing is bound.


async def test_a_tier_that_is_gone_is_declared_again_and_the_next_publish_goes_through(
    broker_url: str, declared: BrokerRig
) -> None:
    async with publishing(broker_url) as publisher:
        await declared.channel.queue_delete("tidings.email.retry.1s")
        with pytest.raises(BrokerUnavailable, match=r"no queue for tidings\.retry") as caught:
            await publisher.publish("tidings.retry", "email.high.1s", b"x", {})
        assert "declared again" in str(caught.value)
        await publisher.publish("tidings.retry", "email.high.1s", b"x", {})
    assert (await declared.take()).body == b"x"


async def test_a_key_that_no_tier_has_is_unavailable_each_time(broker_url: str) -> None:
    async with publishing(broker_url) as publisher:
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="no queue for"):
                await publisher.publish("tidings.retry", "email.high.9m", b"x", {})


async def test_returns_of_publishes_at_once_are_not_mixed_up(
    broker_url: str, declared: BrokerRig
) -> None:
    async def outcome(publisher: BrokerPublisher, number: int) -> bool:
        bound = number % 3 > 0
        try:
            key = "email.high.1s" if bound else "email.high.9m"
            await publisher.publish("tidings.retry", key, str(number).encode(), {})
        except BrokerUnavailable:
            return not bound
        return bound

    async with publishing(broker_url, timeout=20.0) as publisher:
        assert all(await asyncio.gather(*(outcome(publisher, number) for number in range(60))))
    arrived = {(await declared.take()).body for _ in range(40)}
    assert arrived == {str(number).encode() for number in range(60) if number % 3}


async def test_an_exchange_that_is_missing_is_unavailable_and_costs_only_a_channel(
    broker_url: str, declared: BrokerRig
) -> None:
    async with publishing(broker_url) as publisher:
        with pytest.raises(BrokerUnavailable, match="nowhere"):
            await publisher.publish("nowhere", "x", b"x", {})
        await publish(publisher, b"next")
    assert (await declared.take()).body == b"next"


# Where the queue is full.


async def failure(publisher: BrokerPublisher, queue: str, body: bytes) -> BrokerUnavailable | None:
    """Why it was not confirmed; None where it was."""
    try:
        await publisher.publish("", queue, body, {})
    except BrokerUnavailable as error:
        return error
    return None


async def test_a_full_queue_is_unavailable_and_keeps_only_what_was_confirmed(
    broker_url: str, rig: BrokerRig
) -> None:
    full = QUORUM | {"x-max-length": 1, "x-overflow": "reject-publish"}
    await rig.channel.declare_queue("full", durable=True, arguments=full)
    confirmed = 0
    async with publishing(broker_url, topology=None) as publisher:
        async with asyncio.timeout(10):
            # A quorum queue notices that it is full a few messages late.
            while (error := await failure(publisher, "full", str(confirmed).encode())) is None:
                confirmed += 1
        assert "refused a message for the default exchange" in str(error)
        assert "its queue is full" in str(error)
        assert [int((await rig.take("full")).body) for _ in range(confirmed)] == [*range(confirmed)]
        assert await rig.depth("full") == 0
        await publisher.publish("", "full", b"there is room again", {})


async def test_a_queue_whose_limit_is_taken_away_takes_messages_again(
    broker_url: str, rig: BrokerRig, management: Management
) -> None:
    """RabbitMQ never tells the channel that it refused: only another channel finds out."""
    await rig.channel.declare_queue("full", durable=True, arguments=QUORUM)
    limit = {"max-length": 1, "overflow": "reject-publish"}
    await management.set_policy("limit", "^full$", limit)
    async with publishing(broker_url, topology=None) as publisher:

        async def refused() -> bool:
            return await failure(publisher, "full", b"one more") is not None

        async def taken() -> bool:
            return await failure(publisher, "full", b"there is room") is None

        await eventually(refused)
        await management.call("DELETE", f"policies/{management.vhost}/limit")
        await eventually(taken, within=15)


# Where the connection goes away.


async def test_a_wire_that_is_cut_before_the_confirm_is_unavailable_at_once(
    broker_url: str, declared: BrokerRig
) -> None:
    async with Relay(broker_url) as relay, publishing(relay.url, timeout=10.0) as publisher:
        await publish(publisher, b"first")
        relay.hold_replies()
        waiting = [asyncio.create_task(publish(publisher, b"unknown")) for _ in range(20)]
        await eventually(lambda: has_landed(declared, 21))
        started = monotonic()
        relay.cut()
        relay.let_go()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [BrokerUnavailable] * 20
        assert monotonic() - started < 3, "nobody waited for the time limit"
        await publish(publisher, b"next")
    landed = [(await declared.take()).body for _ in range(22)]
    assert landed == [b"first", *[b"unknown"] * 20, b"next"], "unconfirmed is not unpublished"


async def test_a_broker_that_does_not_answer_is_unavailable_after_the_time_limit(
    broker_url: str, declared: BrokerRig
) -> None:
    async with Relay(broker_url) as relay, publishing(relay.url, timeout=1.0) as publisher:
        await publish(publisher, b"first")
        relay.hold_replies()
        with pytest.raises(BrokerUnavailable, match="not confirmed"):
            async with asyncio.timeout(5):
                await publish(publisher, b"unknown")
        relay.let_go()
        await publish(publisher, b"next")


async def has_landed(rig: BrokerRig, count: int) -> bool:
    return await rig.depth() == count


async def test_a_wire_that_is_cut_under_load_loses_nothing_that_was_confirmed(
    broker_url: str, declared: BrokerRig
) -> None:
    confirmed: set[bytes] = set()
    failed: list[BrokerUnavailable] = []
    enough = asyncio.Event()

    async def keep_publishing(publisher: BrokerPublisher, name: int) -> None:
        number = 0
        while not enough.is_set():
            number += 1
            body = f"{name}.{number}".encode()
            try:
                await publish(publisher, body)
                confirmed.add(body)
            except BrokerUnavailable as error:
                failed.append(error)
                await asyncio.sleep(0.01)  # as everybody does who publishes

    async with Relay(broker_url) as relay, publishing(relay.url) as publisher:
        tasks = [asyncio.create_task(keep_publishing(publisher, name)) for name in range(10)]
        for _ in range(3):
            before = len(confirmed)
            await eventually(lambda before=before: len(confirmed) > before + 20)
            failures = len(failed)
            relay.cut()
            await eventually(lambda failures=failures: len(failed) > failures)
        enough.set()
        await asyncio.gather(*tasks)
    found = {(await declared.take()).body for _ in range(await declared.depth())}
    assert confirmed <= found


async def test_without_a_connection_it_is_unavailable_within_the_time_limit(
    unused_tcp_port: int,
) -> None:
    settings = settings_of(f"amqp://127.0.0.1:{unused_tcp_port}/", timeout=0.5)
    async with BrokerConnection(settings, "publishing") as connection:
        started = monotonic()
        with pytest.raises(BrokerUnavailable):
            await publish(BrokerPublisher(settings, connection))
        assert monotonic() - started < 2


async def test_a_broker_that_says_nothing_more_is_unavailable_within_the_time_limit(
    broker_url: str,
) -> None:
    async with Relay(broker_url) as relay, publishing(relay.url, timeout=0.5) as publisher:
        await publish(publisher)
        relay.hold_replies()
        started = monotonic()
        with pytest.raises(BrokerUnavailable, match="no answer in time"):
            await publish(publisher)
        assert monotonic() - started < 2
        relay.let_go()
        await publish(publisher)


async def test_being_cancelled_is_being_cancelled(broker_url: str) -> None:
    async with Relay(broker_url) as relay, publishing(relay.url) as publisher:
        await publish(publisher)
        relay.hold_replies()
        task = asyncio.create_task(publish(publisher))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        relay.let_go()
        await publish(publisher)


async def test_a_broker_that_blocks_publishers_is_unavailable_in_time_and_then_takes_more(
    own_rabbitmq: RabbitMQ,
) -> None:
    async def watermark(fraction: str) -> None:
        await asyncio.to_thread(own_rabbitmq.rabbitmqctl, "set_vm_memory_high_watermark", fraction)

    async with broker_rig(own_rabbitmq.amqp_url) as rig:
        await rig.declare()
        await (await rig.channel.get_queue(LANE)).purge()  # other tests leave messages there
        async with publishing(own_rabbitmq.amqp_url, timeout=1.0) as publisher:
            await publish(publisher, b"before")
            await watermark("0.0000001")
            try:
                started = monotonic()
                with pytest.raises(BrokerUnavailable, match="no answer in time"):
                    await publish(publisher, b"blocked")
                assert monotonic() - started < 3
                # Acks go over another connection, and it is not blocked.
                assert (await rig.take()).body == b"before"
            finally:
                await watermark("0.4")
            await eventually(lambda: published(publisher, b"after"), within=15)
        landed = [(await rig.take()).body]
        while landed[-1] != b"after":
            landed.append((await rig.take()).body)
        assert set(landed) <= {b"blocked", b"after"}
        for queue in SMALL.queues:
            await rig.channel.queue_delete(queue.name)


async def published(publisher: BrokerPublisher, body: bytes) -> bool:
    try:
        await publish(publisher, body)
    except BrokerUnavailable:
        return False
    return True


async def test_large_messages_among_small_ones_arrive_whole(
    broker_url: str, rig: BrokerRig
) -> None:
    sizes = (1, 3_000_000, 10, 131_064, 131_065, 262_144, 100, 9_000_000, 0, 1_000)
    bodies = [bytes([65 + place]) * size for place, size in enumerate(sizes)]
    async with publishing(broker_url, timeout=20.0) as publisher:
        await asyncio.gather(*(publish(publisher, body) for body in bodies))
    arrived = [(await rig.take(within=20)).body for _ in bodies]
    assert sorted(arrived) == sorted(bodies)
