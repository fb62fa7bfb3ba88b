"""The lane is the queue a message was taken from: moved by hand, by a shovel, or copied there by a header."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.worker.conftest import MakeRig
from tests.support.worker_rig import Rig, eventually

from tidings.broker.topology.layout import DEAD
from tidings.delivery.errors import Rejected, Unavailable
from tidings.delivery.ports import SendRequest

LONG = {"TIDINGS_EMAIL_RETRY": "5m", "TIDINGS_WEBHOOK_RETRY": "5m"}
"""What waits in a retry queue for so long comes out of it in time only if it is moved."""


def fails_once(request: SendRequest, before: int) -> Exception | None:
    """The first try of each notification."""
    del request
    return Unavailable("451 try again later") if before == 0 else None


def is_refused(request: SendRequest, before: int) -> Exception:
    """No use trying again."""
    del request, before
    return Rejected("550 no such user")


async def dead_letters(rig: Rig, count: int) -> list[dict[str, object]]:
    """The dead letters, once there are so many."""
    found: list[dict[str, object]] = []

    async def stored() -> bool:
        found[:] = await rig.fetch("SELECT * FROM dead_letters ORDER BY dead_lettered_at")
        return len(found) >= count

    await eventually(stored, 20)
    return found


async def all_are(rig: Rig, ids: Sequence[UUID], state: str) -> None:
    for id in ids:
        await rig.reaches(id, state)


async def test_what_is_moved_out_of_a_retry_queue_into_its_lane_is_tried_again(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**LONG)
    async with rig.working(ScriptedChannel(script=fails_once)), rig.archiving():
        ids = await rig.publish_many(5)
        await all_are(rig, ids, "retrying")
        assert await rig.move("tidings.email.retry.5m", "tidings.email.normal") == 5
        await all_are(rig, ids, "sent")
        attempts = await rig.fetch("SELECT attempt FROM attempts ORDER BY attempt")
    assert [row["attempt"] for row in attempts] == [1] * 5 + [2] * 5
    assert await rig.fetch("SELECT * FROM dead_letters") == []


async def test_what_is_moved_to_a_less_urgent_lane_stays_there_whatever_its_body_says(
    rig: Rig,
) -> None:
    async with rig.working(ScriptedChannel()):
        pass  # the topology is there
    id = await rig.publish("email.high", priority="high")
    assert await rig.move("tidings.email.high", "tidings.email.low") == 1
    channel = ScriptedChannel(script=fails_once)
    async with rig.working(channel):
        await rig.reaches(id, "sent")
    assert [request.attempt.lane.key for request in channel.requests] == ["email.low", "email.low"]
    (row,) = await rig.fetch("SELECT priority FROM notifications")
    assert row["priority"] == "low"


async def test_a_retry_that_is_moved_to_another_priority_is_listed_with_that_one(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**LONG)
    async with rig.working(ScriptedChannel(script=fails_once)):
        id = await rig.publish("email.high")
        await rig.reaches(id, "retrying")
        await rig.move("tidings.email.retry.5m", "tidings.email.low")
        await rig.reaches(id, "sent")
    (row,) = await rig.fetch("SELECT priority FROM notifications")
    assert row["priority"] == "low"


async def test_a_copy_that_its_header_led_to_another_channel_is_a_dead_letter_and_harms_nobody(
    rig: Rig,
) -> None:
    mail, hooks = ScriptedChannel(), ScriptedChannel("webhook")
    async with AsyncExitStack() as stack:
        for channel in (mail, hooks):
            await stack.enter_async_context(rig.working(channel))
        await stack.enter_async_context(rig.archiving())
        ids = [await rig.publish(headers={"CC": ["webhook.normal"]}) for _ in range(10)]
        await all_are(rig, ids, "sent")
        found = await dead_letters(rig, 10)
    assert (dict(mail.sent), dict(hooks.sent)) == (dict.fromkeys(ids, 1), {})
    assert {row["notification_id"] for row in found} == set(ids)
    for dead_letter in found:
        assert (dead_letter["reason"], dead_letter["kind"], dead_letter["state"]) == (
            "malformed",
            "misrouted",
            "open",
        )
        assert "came out of tidings.webhook.normal: its header CC: ['webhook.normal']" in str(
            dead_letter["message"]
        )
        headers = json.loads(str(dead_letter["headers"]))
        assert headers["x-tidings-queue"] == "tidings.webhook.normal"
        assert headers["x-tidings-original-headers"]["CC"] == ["webhook.normal"]


async def test_a_copy_that_another_channel_s_lane_gives_up_ends_nobody_s_notification(
    rig: Rig,
) -> None:
    async with rig.working(ScriptedChannel()):
        pass  # the topology is there
    id = await rig.publish(headers={"CC": ["webhook.normal"]})
    webhook = await rig._broker.get_queue("tidings.webhook.normal", ensure=False)
    await (await webhook.get()).reject(requeue=False)
    async with rig.archiving():
        (dead_letter,) = await dead_letters(rig, 1)
    assert (dead_letter["notification_id"], dead_letter["kind"]) == (id, "broker_rejected")
    assert await rig.state(id) is None
    async with rig.working(ScriptedChannel()):
        await rig.reaches(id, "sent")


async def test_a_retry_that_is_moved_to_another_channel_s_lane_is_sent_home_with_its_attempt(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**LONG)
    mail = ScriptedChannel(script=fails_once)
    async with rig.working(mail), rig.working(ScriptedChannel("webhook")), rig.archiving():
        id = await rig.publish("email.low")
        await rig.reaches(id, "retrying")
        await rig.move("tidings.email.retry.5m", "tidings.webhook.high")
        await rig.reaches(id, "sent")
    assert [(request.attempt.number, request.attempt.lane.key) for request in mail.requests] == [
        (1, "email.low"),
        (2, "email.high"),
    ]
    assert await rig.fetch("SELECT * FROM dead_letters") == []


@pytest.mark.parametrize("queue", ["tidings.email.retry.5m", "tidings.email.normal"])
async def test_what_is_moved_to_the_dead_letters_by_hand_ends_there_and_says_so(
    make_rig: MakeRig, queue: str
) -> None:
    rig = await make_rig(**LONG)
    async with rig.working(ScriptedChannel(script=fails_once)):
        id = await rig.publish()
        await rig.reaches(id, "retrying")
    if queue.endswith("normal"):
        await rig.move("tidings.email.retry.5m", queue)
    await rig.move(queue, DEAD)
    async with rig.archiving():
        (dead_letter,) = await dead_letters(rig, 1)
        await rig.reaches(id, "failed")
    assert (dead_letter["reason"], dead_letter["kind"], dead_letter["attempts"]) == (
        "rejected",
        "moved",
        1,
    )
    assert "by hand or by a shovel" in str(dead_letter["message"])
    assert dead_letter["notification_id"] == id


async def test_what_is_moved_into_a_retry_queue_by_hand_ends_as_a_dead_letter_that_says_what_to_do(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RETRY="5m", TIDINGS_WEBHOOK_RETRY="1s")
    async with rig.working(ScriptedChannel(script=fails_once)), rig.archiving():
        id = await rig.publish()
        await rig.reaches(id, "retrying")
        await rig.move("tidings.email.retry.5m", "tidings.webhook.retry.1s")
        (dead_letter,) = await dead_letters(rig, 1)
        await rig.reaches(id, "failed")
    assert dead_letter["reason"] == "unroutable"
    assert "moved by hand into tidings.webhook.retry.1s" in str(dead_letter["message"])


async def test_a_dead_letter_that_is_moved_back_to_its_lane_comes_back_as_the_same_one(
    rig: Rig,
) -> None:
    channel = ScriptedChannel(script=is_refused)
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "failed")
        assert await rig.move(DEAD, "tidings.email.normal") == 1
        await eventually(lambda: _holds(rig, DEAD, 1))
    async with rig.archiving():
        (dead_letter,) = await dead_letters(rig, 1)
        await eventually(lambda: _holds(rig, DEAD, 0))
    assert (dead_letter["reason"], dead_letter["kind"], dead_letter["attempts"]) == (
        "rejected",
        "rejected",
        1,
    )
    assert len(channel.requests) == 1


async def test_what_had_a_wrong_key_is_sent_once_it_is_moved_to_a_lane(rig: Rig) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        id = await rig.publish("emial.high")
        await rig.move(DEAD, "tidings.email.high")
        await rig.reaches(id, "sent")
    assert channel.sent == {id: 1}


async def _holds(rig: Rig, queue: str, messages: int) -> bool:
    return await rig.depth(queue) == messages
