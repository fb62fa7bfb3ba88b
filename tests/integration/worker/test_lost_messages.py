"""A notification whose message was purged, lost or taken away is published again from the ledger, and never twice sent."""

import asyncio
from uuid import UUID

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.broker.topology.layout import DEAD
from tidings.delivery.errors import Rejected, Unavailable
from tidings.delivery.orders import Verb
from tidings.delivery.ports import SendRequest

SOON = {"TIDINGS_REQUEUE_AFTER": "3s", "TIDINGS_EMAIL_RETRY": "1s 1s 1s"}
NEVER = {"TIDINGS_REQUEUE_AFTER": "1d", "TIDINGS_EMAIL_RETRY": "1s 1s 1s"}
TIER = "tidings.email.retry.1s"


def once_unavailable(_: SendRequest, before: int) -> Exception | None:
    return Unavailable("451 busy") if before == 0 else None


async def purge(rig: Rig, queue: str) -> int:
    purged = await (await rig._broker.get_queue(queue, ensure=False)).purge()
    return purged.message_count or 0


async def lost_after(attempts: int, rig: Rig, channel: ScriptedChannel, **fields: object) -> UUID:
    """So many attempts failed, and its message is purged while it waits for the next."""
    id = await rig.publish(**fields)
    await eventually(lambda: len(channel.requests) == attempts)

    async def purged() -> bool:
        return await purge(rig, TIER) > 0

    await eventually(purged)
    assert len(channel.requests) == attempts
    return id


async def requeued(rig: Rig, id: UUID) -> list[str]:
    rows = await rig.fetch(
        "SELECT reason FROM transitions WHERE notification_id = $1 AND reason LIKE '%: published again%'",
        id,
    )
    return [str(row["reason"]) for row in rows]


async def test_a_purged_retry_is_found_and_published_again(make_rig) -> None:
    rig = await make_rig(**SOON)
    channel = ScriptedChannel(script=once_unavailable)
    async with rig.working(channel), rig.scheduling():
        id = await lost_after(1, rig, channel)
        await rig.reaches(id, "sent", within=20)
        await eventually(rig.drained)
    assert channel.sent == {id: 1}
    assert await requeued(rig, id) == ["its message was lost: published again"]
    attempts = await rig.fetch("SELECT attempt FROM attempts ORDER BY 1")
    assert [row["attempt"] for row in attempts] == [1, 2]
    assert b'tidings_requeued_total{channel="email"} 1.0' in rig.metrics.render()


async def test_a_replay_whose_message_is_lost_is_published_again_in_its_epoch(make_rig) -> None:
    rig = await make_rig(**SOON)
    async with rig.working(ScriptedChannel()):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    await rig.fetch(
        "UPDATE notifications SET state = 'queued', epoch = 2, attempt = 0, updated_at = now(), finished_at = NULL"
    )
    channel = ScriptedChannel()
    async with rig.working(channel), rig.scheduling():
        await rig.reaches(id, "sent", within=20)
    [request] = channel.requests
    assert (request.attempt.epoch, request.attempt.number) == (2, 1)


@pytest.mark.parametrize(
    ("guarantee", "state", "sends"), [("at_least_once", "sent", 1), ("at_most_once", "unknown", 0)]
)
async def test_one_whose_worker_and_message_are_both_lost_is_decided_by_its_guarantee(
    make_rig, guarantee: str, state: str, sends: int
) -> None:
    rig = await make_rig(**SOON, TIDINGS_EMAIL_GUARANTEE=guarantee)
    async with rig.working(ScriptedChannel()):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    await rig.fetch("DELETE FROM attempts")
    await rig.fetch(
        "UPDATE notifications SET state = 'sending', lease_holder = 'gone', lease_until = now(), finished_at = NULL"
    )
    channel = ScriptedChannel()
    async with rig.working(channel), rig.scheduling():
        await rig.reaches(id, state, within=20)
    assert len(channel.requests) == sends


async def test_a_dead_letter_that_was_lost_is_published_again(make_rig) -> None:
    rig = await make_rig(**SOON)
    async with rig.working(ScriptedChannel(script=lambda *_: Rejected("550 no such user"))):
        id = await rig.publish()
        await rig.reaches(id, "failed")
        dead_letter = await rig.dead_letter()  # takes it off the queue
    async with rig.scheduling(), rig.archiving():

        async def archived() -> list[dict[str, object]]:
            return await rig.fetch("SELECT * FROM dead_letters")

        await eventually(archived, within=20)
        [found] = await archived()
    assert (found["notification_id"], found["reason"]) == (id, "rejected")
    assert str(found["id"]) == dead_letter.headers["x-tidings-dead-letter"]
    assert await requeued(rig, id) == ["its dead letter was lost: published again"]


async def test_what_waits_in_the_lane_of_a_paused_channel_is_left_there(make_rig) -> None:
    rig = await make_rig(**SOON)
    channel = ScriptedChannel(script=once_unavailable)
    async with rig.working(channel), rig.scheduling():
        id = await rig.publish()
        await rig.reaches(id, "retrying")
        await rig.order("", Verb.PAUSE, "for a while")
        await eventually(lambda: rig.workers[0].paused)
        await rig.publish()  # the lane is not empty: it has no consumer

        async def looked_at_often_after_it_was_overdue() -> bool:
            [row] = await rig.fetch(
                "SELECT now() - updated_at > interval '7 seconds' AS late FROM notifications WHERE id = $1",
                id,
            )
            return bool(row["late"])

        await eventually(looked_at_often_after_it_was_overdue, within=15)
        assert await requeued(rig, id) == []
        await rig.order("", Verb.RESUME)
        await rig.reaches(id, "sent")
    assert channel.sent[id] == 1


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
async def test_a_message_that_was_only_slow_is_not_sent_twice(make_rig, guarantee: str) -> None:
    rig = await make_rig(**NEVER, TIDINGS_EMAIL_GUARANTEE=guarantee)
    channel = ScriptedChannel(script=once_unavailable)
    async with rig.working(channel), rig.scheduling():
        id = await rig.publish()
        await rig.reaches(id, "retrying")
        for _ in range(3):  # as if it were considered lost again and again while it waits
            await rig.fetch("UPDATE notifications SET dispatch_at = now() WHERE state = 'retrying'")
            await rig.fetch("SELECT pg_notify('tidings_due', '')")
        await rig.reaches(id, "sent")
        await eventually(rig.drained)
    assert channel.sent == {id: 1}
    attempts = await rig.fetch("SELECT attempt, state FROM attempts ORDER BY 1")
    assert [tuple(row.values()) for row in attempts] == [(1, "retrying"), (2, "sent")]


async def test_a_second_publish_of_the_same_id_revives_one_whose_message_was_lost(make_rig) -> None:
    """With the content that is on record, in the attempt that is due."""
    rig = await make_rig(TIDINGS_REQUEUE_AFTER="15s", TIDINGS_EMAIL_RETRY="1s 1s 1s")
    channel = ScriptedChannel(
        script=lambda _, before: Unavailable("451 busy") if before < 2 else None
    )
    async with rig.working(channel):
        id = await lost_after(2, rig, channel, subject="first")
        async with rig.scheduling():
            async with asyncio.timeout(10):
                while await rig.state(id) == "retrying":
                    await rig.publish(id=str(id), subject="second")
                    await asyncio.sleep(0.2)
            await rig.reaches(id, "sent")
            await eventually(rig.drained)
    assert channel.sent == {id: 1}
    assert channel.requests[-1].content.subject == "first"
    assert await requeued(rig, id) == [
        "its message was lost: published again (its producer sent it once more)"
    ]


async def test_the_dead_queue_is_not_mistaken_for_empty_while_its_archive_is_away(make_rig) -> None:
    rig = await make_rig(**SOON)
    async with rig.working(ScriptedChannel(script=lambda *_: Rejected("550"))), rig.scheduling():
        id = await rig.publish()
        await rig.reaches(id, "failed")

        async def long_since() -> bool:
            [row] = await rig.fetch(
                "SELECT now() - finished_at > interval '6 seconds' AS late FROM notifications"
            )
            return bool(row["late"])

        await eventually(long_since, within=15)
        assert await rig.depth(DEAD) == 1
    assert await requeued(rig, id) == []
