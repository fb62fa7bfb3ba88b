"""Accepted, latency and expiry are true, whatever clock its producer has."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import aio_pika
import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.attempts import body_of
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Misconfigured
from tidings.delivery.orders import Verb
from tidings_events import EmailNotification, Producer
from tidings_events.routing import EXCHANGE

OTP = {"TIDINGS_CATEGORIES": '{"otp": {"expires_after": "5m"}}'}


def minted(moment: datetime) -> UUID:
    """A UUIDv7 of that time."""
    number = int(moment.timestamp() * 1000) << 80 | 7 << 76 | 0b10 << 62
    return UUID(int=number | uuid4().int & (1 << 62) - 1)


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


async def publish(rig: Rig, id: UUID, timestamp: datetime | None) -> UUID:
    """A one-time code, as any client publishes it."""
    message = aio_pika.Message(
        body_of(id=str(id), category="otp"), delivery_mode=2, timestamp=timestamp
    )
    exchange = await rig._broker.get_exchange(EXCHANGE, ensure=False)
    await exchange.publish(message, "email.normal")
    return id


async def row(rig: Rig, id: UUID) -> dict[str, object]:
    [found] = await rig.fetch("SELECT * FROM notifications WHERE id = $1", id)
    return found


async def lanes_are_seen_empty(rig: Rig) -> None:
    """Until the worker has seen that its lanes are empty: nothing came for longer than half a second."""
    started = datetime.now(UTC)
    await eventually(lambda: datetime.now(UTC) - started > timedelta(seconds=0.7))


@pytest.mark.parametrize("wrong", [6, 300, -120], ids=["minutes behind", "west", "east"])
async def test_a_code_that_just_came_is_sent_whatever_its_producer_s_clock_says(
    make_rig, wrong: float
) -> None:
    rig = await make_rig(**OTP)
    async with rig.working(ScriptedChannel()):
        await lanes_are_seen_empty(rig)
        id = await publish(rig, uuid4(), ago(wrong))
        await rig.reaches(id, "sent")
    stored = await row(rig, id)
    assert stored["time_source"] == "read"
    [transition] = await rig.fetch(
        "SELECT reason FROM history WHERE notification_id = $1 AND step = 0", id
    )
    assert transition["reason"] == "published, first read"
    assert b'tidings_delivery_seconds_count{channel="email"} 0.0' in rig.metrics.render()


async def test_one_that_comes_from_another_queue_is_as_old_as_it_says_though_its_lane_was_empty(
    make_rig,
) -> None:
    """Dead-lettered, and moved into its lane by hand."""
    rig = await make_rig(**OTP)
    channel = ScriptedChannel()
    async with rig.working(channel):
        await lanes_are_seen_empty(rig)
        message = aio_pika.Message(
            body_of(id=str(id := uuid4()), category="otp"),
            delivery_mode=2,
            timestamp=ago(6),
            headers={"x-death": [{"queue": "elsewhere", "reason": "rejected"}]},
        )
        exchange = await rig._broker.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(message, "email.normal")
        await rig.reaches(id, "expired")
    assert not channel.sent


async def test_a_code_that_waited_in_its_lane_past_its_expiry_is_not_sent(make_rig) -> None:
    """By the time of its id, where its message has none."""
    rig = await make_rig(**OTP)
    channel = ScriptedChannel()
    async with rig.working(channel):
        pass  # declares the lanes
    with_time, without = (
        await publish(rig, uuid4(), ago(6)),
        await publish(rig, minted(ago(6)), None),
    )
    fresh = await publish(rig, minted(ago(1)), None)
    async with rig.working(channel):
        await rig.reaches(with_time, "expired")
        await rig.reaches(without, "expired")
        await rig.reaches(fresh, "sent")
    assert set(channel.sent) == {fresh}
    assert [(await row(rig, id))["time_source"] for id in (with_time, without)] == [
        "producer",
        "id",
    ]


async def test_a_local_time_taken_for_utc_is_told_by_the_id_even_in_a_backlog(make_rig) -> None:
    rig = await make_rig(**OTP)
    async with rig.working(ScriptedChannel()):
        pass
    id = await publish(rig, minted(ago(1)), ago(1 + 5 * 60))
    async with rig.working(ScriptedChannel()):
        await rig.reaches(id, "sent")
    assert (await row(rig, id))["time_source"] == "id"


async def test_our_producer_says_when_to_the_millisecond(rig: Rig, broker_url: str) -> None:
    notification = EmailNotification(recipient="ada@example.com", subject="Hello", body="Hi")
    before = datetime.now(UTC)
    async with rig.working(ScriptedChannel()), Producer(broker_url) as producer:
        await producer.publish(notification)
        after = datetime.now(UTC)
        await rig.reaches(notification.id, "sent")
    stored = await row(rig, notification.id)
    accepted = stored["accepted_at"]
    assert isinstance(accepted, datetime)
    assert before - timedelta(milliseconds=1) <= accepted <= after
    assert accepted.microsecond % 1000 == 0
    assert stored["time_source"] == "producer"


async def test_one_that_waits_its_turn_unread_does_not_grow_younger(make_rig) -> None:
    """In a paused worker's hands first, then in a retry queue: its expiry goes by when it was taken at first."""
    rig = await make_rig(
        TIDINGS_CATEGORIES='{"otp": {"expires_after": "2s"}}', TIDINGS_EMAIL_CONCURRENCY="1"
    )
    refused = ScriptedChannel(script=lambda *_: Misconfigured("535 wrong password"))
    async with rig.working(refused):
        id = await publish(rig, uuid4(), None)
        await eventually(lambda: refused.requests)
        await rig.order("primary", Verb.ENABLE)
        waiting = await publish(rig, uuid4(), None)
        await rig.reaches(id, "expired")
        await rig.reaches(waiting, "expired")


async def test_whole_seconds_make_no_wait_of_what_is_sent_at_once(rig: Rig) -> None:
    """A client of AMQP with UUIDv4 ids, late in its second."""
    async with rig.working(ScriptedChannel()):
        await lanes_are_seen_empty(rig)
        await eventually(lambda: datetime.now(UTC).microsecond > 500_000)
        before = datetime.now(UTC)
        id = await publish(rig, uuid4(), before.replace(microsecond=0))
        await rig.reaches(id, "sent")
    stored = await row(rig, id)
    accepted = stored["accepted_at"]
    assert isinstance(accepted, datetime)
    assert accepted >= before
    assert stored["time_source"] == "producer"
