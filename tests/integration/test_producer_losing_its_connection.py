"""The producer on a bad line: a proxy between it and a real broker is cut, or made to fall silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import aio_pika
import pytest
from aio_pika.abc import AbstractQueue
from tests.support.wire import Wire
from yarl import URL

from tidings_events import NotConfirmed, Producer, SmsNotification, parse
from tidings_events.routing import EXCHANGE
from tidings_local.management import Management


@pytest.fixture
async def wire(broker_url: str) -> AsyncIterator[Wire]:
    wire = Wire(URL(broker_url))
    await wire.open()
    yield wire
    await wire.close()


@pytest.fixture
async def lane(broker_url: str) -> AsyncIterator[AbstractQueue]:
    async with lane_on(broker_url) as queue:
        yield queue


@asynccontextmanager
async def lane_on(url: str) -> AsyncIterator[AbstractQueue]:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue(
            "lane", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, "sms.*")
        yield queue


@asynccontextmanager
async def producer_on(wire: Wire, timeout: float = 10) -> AsyncIterator[Producer]:
    async with Producer(wire.url, timeout=timeout) as producer:
        await producer.publish(sms("first"))
        yield producer


def sms(body: str) -> SmsNotification:
    return SmsNotification(recipient="+14155550123", body=body)


async def bodies(lane: AbstractQueue, expected: set[str]) -> list[str | None]:
    """What is in the lane, once all that is expected has come."""
    found: list[str | None] = []
    async with asyncio.timeout(20), lane.iterator(no_ack=True) as coming:
        async for message in coming:
            notification = parse(message.body)
            assert isinstance(notification, SmsNotification)
            found.append(notification.body)
            if expected <= set(found):
                break
    return found


async def test_a_lost_connection_is_opened_again(wire: Wire, lane: AbstractQueue) -> None:
    async with producer_on(wire) as producer:
        wire.cut()
        await producer.publish(sms("second"))
    assert set(await bodies(lane, {"first", "second"})) == {"first", "second"}
    assert wire.connections == 2


async def test_an_outage_shorter_than_the_timeout_is_waited_out(
    wire: Wire, lane: AbstractQueue
) -> None:
    async with producer_on(wire) as producer:
        port = URL(wire.url).port
        assert port
        await wire.close()
        publishing = asyncio.create_task(producer.publish(sms("second")))
        await asyncio.wait([publishing], timeout=0.5)
        assert not publishing.done()
        await wire.open(port)
        await publishing
    await bodies(lane, {"first", "second"})


async def test_a_confirm_that_never_comes_is_told_in_time_though_the_message_arrived(
    wire: Wire, lane: AbstractQueue
) -> None:
    async with producer_on(wire, timeout=1) as producer:
        wire.silent = True
        started = monotonic()
        with pytest.raises(NotConfirmed, match="no confirm within 1s"):
            await producer.publish(sms("second"))
        assert monotonic() - started < 3
        wire.cut()
    await bodies(lane, {"first", "second"})


@pytest.mark.usefixtures("lane")
async def test_a_connection_lost_for_good_before_the_confirm_is_not_confirmed(wire: Wire) -> None:
    async with producer_on(wire, timeout=1.5) as producer:
        wire.silent = True
        before = wire.sent
        publishing = asyncio.create_task(producer.publish(sms("second")))
        await wire.until_sent(before + 100)
        await wire.close()
        with pytest.raises(NotConfirmed, match="connection was lost before the confirm came"):
            await publishing
        await wire.open()


async def test_what_was_under_way_at_the_cut_is_sent_again_and_nothing_is_missing(
    wire: Wire, lane: AbstractQueue
) -> None:
    wanted = {str(number) for number in range(2000)}
    async with producer_on(wire) as producer:
        publishing = asyncio.create_task(producer.publish_many(sms(each) for each in wanted))
        for share in (0.2, 0.5):
            await wire.until_sent(int(share * 2000 * 250))
            wire.cut()
        assert await publishing == 2000
    found = await bodies(lane, wanted | {"first"})
    assert set(found) == wanted | {"first"}
    assert wire.connections >= 3


async def test_a_connection_an_operator_closed_is_opened_again(
    broker_url: str, management: Management
) -> None:
    async with lane_on(broker_url):
        pass
    async with Producer(broker_url, name="the producer in the test") as producer:
        await producer.publish(sms("first"))
        async with asyncio.timeout(20):
            while not await management.close_connections():  # no events over HTTP
                await asyncio.sleep(0.05)
        await producer.publish(sms("second"))
    async with lane_on(broker_url) as lane:
        await bodies(lane, {"first", "second"})
