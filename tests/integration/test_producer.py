"""The producer against a real broker: what was confirmed is there, what was not is named."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, time

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from tests.support.worker_rig import eventually

from tidings_events import (
    NotConfirmed,
    Producer,
    SmsNotification,
    SomeNotPublished,
    Unreachable,
    Unroutable,
    parse,
    publish_sync,
)
from tidings_events.routing import EXCHANGE, MILLISECONDS, TRACEPARENT
from tidings_local.management import Management

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sms(number: int = 0, priority: str = "normal") -> SmsNotification:
    return SmsNotification(
        recipient="+14155550123", body=f"Message {number}", priority=priority, user_id=str(number)
    )


@asynccontextmanager
async def lane(url: str, key: str = "sms.*", **arguments: object) -> AsyncIterator[AbstractQueue]:
    """The exchange, and a quorum queue bound to it as Tidings binds its lanes."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue(
            "lane", durable=True, arguments={"x-queue-type": "quorum", **arguments}
        )
        await queue.bind(exchange, key)
        yield queue


async def take(queue: AbstractQueue, count: int) -> list[AbstractIncomingMessage]:
    messages: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(20), queue.iterator(no_ack=True) as coming:
        async for message in coming:
            messages.append(message)
            if len(messages) == count:
                break
    return messages


async def test_a_published_notification_arrives_persistent_and_as_it_was(broker_url: str) -> None:
    notification = sms(1, "high")
    async with lane(broker_url, "sms.high") as queue, Producer(broker_url) as producer:
        await producer.publish(notification, traceparent=TRACE, headers={"x-team": "billing"})
        [message] = await take(queue, 1)
    assert parse(message.body) == notification
    assert message.routing_key == "sms.high"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/json"
    headers = {name: value for name, value in message.headers.items() if name != "x-delivery-count"}
    published = headers.pop(MILLISECONDS)
    assert isinstance(published, int)
    assert abs(published / 1000 - time()) < 30
    assert headers == {TRACEPARENT: TRACE, "x-team": "billing"}


async def test_each_publish_has_a_message_id_of_its_own(broker_url: str) -> None:
    notification = sms()
    async with lane(broker_url) as queue, Producer(broker_url) as producer:
        await producer.publish(notification)
        await producer.publish(notification)
        first, second = await take(queue, 2)
    assert first.message_id != second.message_id
    assert parse(first.body).id == parse(second.body).id


async def test_a_notification_no_queue_takes_is_unroutable(broker_url: str) -> None:
    async with lane(broker_url, "email.*"), Producer(broker_url) as producer:
        with pytest.raises(Unroutable, match=r"no queue is bound for sms\.normal"):
            await producer.publish(sms())


async def test_a_missing_exchange_is_unroutable_and_costs_no_connection(broker_url: str) -> None:
    async with Producer(broker_url) as producer:
        for _ in range(2):
            with pytest.raises(Unroutable, match="there is no exchange"):
                await producer.publish(sms())
        async with lane(broker_url) as queue:
            await producer.publish(sms(7))
            [message] = await take(queue, 1)
    assert parse(message.body).user_id == "7"


async def publish_for_ever(producer: Producer) -> None:
    # A quorum queue notices that it is full a few messages late.
    async with asyncio.timeout(20):
        while True:
            await producer.publish(sms())


async def test_a_full_lane_is_not_confirmed(broker_url: str) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with lane(broker_url, **full), Producer(broker_url) as producer:
        with pytest.raises(NotConfirmed, match=r"the lane sms\.normal is full"):
            await publish_for_ever(producer)


async def test_a_lane_whose_limit_is_taken_away_takes_notifications_again(
    broker_url: str, management: Management
) -> None:
    """RabbitMQ never tells the channel that it refused: only another channel finds out."""
    limit = {"max-length": 1, "overflow": "reject-publish"}
    async with lane(broker_url), Producer(broker_url) as producer:
        await management.set_policy("limit", "^lane$", limit)
        with pytest.raises(NotConfirmed):
            await publish_for_ever(producer)
        await management.call("DELETE", f"policies/{management.vhost}/limit")

        async def taken() -> bool:
            try:
                await producer.publish(sms())
            except NotConfirmed:
                return False
            return True

        await eventually(taken, within=15)


async def test_the_same_unroutable_notification_five_times_at_once_fails_five_times(
    broker_url: str,
) -> None:
    notification = sms()
    async with lane(broker_url, "email.*"), Producer(broker_url) as producer:
        results = await asyncio.gather(
            *(producer.publish(notification) for _ in range(5)), return_exceptions=True
        )
    assert [type(result) for result in results] == [Unroutable] * 5


async def test_no_broker_is_unreachable_within_the_timeout(unused_tcp_port: int) -> None:
    url = f"amqp://user:secret@127.0.0.1:{unused_tcp_port}/"
    started = monotonic()
    async with Producer(url, timeout=0.5) as producer:
        with pytest.raises(Unreachable, match=f"127.0.0.1:{unused_tcp_port}") as caught:
            await producer.publish(sms())
    assert 0.4 < monotonic() - started < 2
    assert "secret" not in str(caught.value)


async def test_a_broker_that_accepts_and_says_nothing_is_unreachable() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Producer(f"amqp://127.0.0.1:{port}", timeout=1.5) as producer:
        with pytest.raises(Unreachable, match=r"no broker within 1\.5s"):
            await producer.publish(sms())


async def test_wrong_credentials_are_unreachable_and_say_so(broker_url: str) -> None:
    wrong = str(aio_pika.connection.URL(broker_url).with_password("wrong"))
    async with Producer(wrong, timeout=1) as producer:
        with pytest.raises(Unreachable, match=r"(?i)access|refused") as caught:
            await producer.publish(sms())
    assert "wrong" not in str(caught.value)


async def test_the_next_broker_is_tried_when_the_first_is_down(
    broker_url: str, unused_tcp_port: int
) -> None:
    urls = [f"amqp://127.0.0.1:{unused_tcp_port}/", broker_url]
    async with lane(broker_url) as queue, Producer(urls) as producer:
        await producer.publish(sms(3))
        [message] = await take(queue, 1)
    assert parse(message.body).user_id == "3"


async def test_many_are_published_from_a_generator(broker_url: str) -> None:
    async with lane(broker_url) as queue, Producer(broker_url, max_unconfirmed=200) as producer:
        assert await producer.publish_many(sms(number) for number in range(2000)) == 2000
        messages = await take(queue, 2000)
    assert {json.loads(message.body)["user_id"] for message in messages} == {
        str(number) for number in range(2000)
    }


async def test_of_many_exactly_those_that_failed_are_reported(broker_url: str) -> None:
    batch = [sms(number, "low" if number % 10 == 0 else "high") for number in range(2000)]
    async with lane(broker_url, "sms.high") as queue, Producer(broker_url) as producer:
        with pytest.raises(SomeNotPublished) as caught:
            await producer.publish_many(batch)
        messages = await take(queue, 1800)
    failed = {notification.id for notification, _ in caught.value.failures}
    assert failed == {notification.id for notification in batch if notification.priority == "low"}
    assert {type(error) for _, error in caught.value.failures} == {Unroutable}
    assert {parse(message.body).id for message in messages} == {n.id for n in batch} - failed
    assert "200 of 2000 notifications were not published" in str(caught.value)


async def test_without_a_broker_the_rest_of_many_fail_at_once(unused_tcp_port: int) -> None:
    url = f"amqp://127.0.0.1:{unused_tcp_port}/"
    started = monotonic()
    async with Producer(url, timeout=0.5, max_unconfirmed=10) as producer:
        with pytest.raises(SomeNotPublished) as caught:
            await producer.publish_many([sms(number) for number in range(1000)])
    assert len(caught.value.failures) == 1000
    assert monotonic() - started < 5


async def test_a_generator_that_fails_is_heard_after_its_predecessors_went_out(
    broker_url: str,
) -> None:
    def failing() -> object:
        yield sms(1)
        raise LookupError("no more")

    async with lane(broker_url) as queue, Producer(broker_url) as producer:
        with pytest.raises(LookupError, match="no more"):
            await producer.publish_many(failing())
        assert len(await take(queue, 1)) == 1


async def test_a_closed_producer_says_so(broker_url: str) -> None:
    async with Producer(broker_url) as producer:
        pass
    with pytest.raises(Unreachable, match="the producer is closed"):
        await producer.publish(sms())


async def test_an_app_id_that_amqp_can_t_carry_is_refused(broker_url: str) -> None:
    Producer(broker_url, app_id="ü" * 127)
    with pytest.raises(ValueError, match="more than 255 bytes"):
        Producer(broker_url, app_id="ü" * 128)


async def test_a_header_of_tidings_own_is_refused(broker_url: str) -> None:
    async with Producer(broker_url) as producer:
        with pytest.raises(ValueError, match="X-Tidings-Attempt is Tidings' own"):
            await producer.publish(sms(), headers={"X-Tidings-Attempt": "-1"})


async def test_blocking_code_can_publish_too(broker_url: str) -> None:
    async with lane(broker_url) as queue:
        assert await asyncio.to_thread(publish_sync, broker_url, sms(1), sms(2)) == 2
        messages = await take(queue, 2)
    assert {parse(message.body).user_id for message in messages} == {"1", "2"}
