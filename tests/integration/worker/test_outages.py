"""Connections cut, queues gone, servers restarted under a running worker: nothing lost, and it goes on."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Unavailable
from tidings.ledger import migrate
from tidings_local.management import Management
from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ

MakeRig = Callable[..., Awaitable[Rig]]


async def all_reach(rig: Rig, ids: list[UUID], state: str, within: float = 30) -> None:
    async def reached() -> bool:
        [row] = await rig.fetch("SELECT count(*) AS n FROM notifications WHERE state = $1", state)
        return row["n"] == len(ids)

    await eventually(reached, within)


async def test_losing_the_connection_cancels_no_send_and_repeats_none(
    rig: Rig, management: Management
) -> None:
    channel = ScriptedChannel(script=lambda *_: 1.0)
    async with rig.working(channel):
        ids = await rig.publish_many(10)
        await eventually(lambda: channel.under_way == 10)
        await eventually(management.close_connections)
        await all_reach(rig, ids, "sent")
    assert set(channel.sent.values()) == {1}
    assert len(channel.requests) == 10


async def test_what_fails_while_the_broker_is_away_is_retried_once_it_is_back(
    rig: Rig, management: Management
) -> None:
    def fails_once(_: object, before: int) -> float | Exception:
        return 0.5 if before else Unavailable("busy")

    channel = ScriptedChannel(script=fails_once)
    async with rig.working(channel):
        ids = await rig.publish_many(9)
        await eventually(lambda: len(channel.requests) >= 9)
        await eventually(management.close_connections)
        await all_reach(rig, ids, "sent")
    assert set(channel.sent.values()) == {1}


async def test_a_retry_tier_that_somebody_deleted_is_declared_again_and_nothing_is_lost(
    rig: Rig, management: Management
) -> None:
    channel = ScriptedChannel(script=lambda _, before: None if before else Unavailable("busy"))
    async with rig.working(channel):
        await management.delete_queue("tidings.email.retry.1s")
        id = await rig.publish()
        await rig.reaches(id, "sent", within=30)
    assert len(channel.requests) == 2


async def test_a_full_retry_tier_holds_messages_until_there_is_room(
    make_rig: MakeRig, management: Management
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RETRY="2s")
    channel = ScriptedChannel(script=lambda _, before: None if before else Unavailable("busy"))
    async with rig.working(channel):
        await management.set_policy("full", "^tidings.email.retry.2s$", {"max-length": 1})
        fillers = await rig.publish_until_refused("tidings.retry", "email.normal.2s")
        ids = await rig.publish_many(3)
        await eventually(lambda: len(channel.requests) >= 3)
        await eventually(lambda: held_in_the_lane(management), within=20)
        await all_reach(rig, [*ids, *fillers], "sent", within=60)
    assert all(channel.sent[id] == 1 for id in ids)


async def held_in_the_lane(management: Management) -> bool:
    """Whether the lane still holds what the worker could not pass on."""
    queue = await management.queue("tidings.email.normal")
    return queue.get("messages_unacknowledged", 0) > 0


async def test_a_lane_that_is_deleted_is_consumed_again_once_it_is_back(
    rig: Rig, management: Management
) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        await management.delete_queue("tidings.email.normal")
        await eventually(lambda: not rig.workers[0].ready)
        async with rig.working(ScriptedChannel(), "another"):
            await eventually(lambda: rig.workers[0].ready, within=30)
            id = await rig.publish()
            await rig.reaches(id, "sent", within=30)


async def test_postgresql_restarting_under_load_loses_nothing_and_sends_nothing_twice(
    make_rig: MakeRig, own_postgresql: PostgreSQL
) -> None:
    database = own_postgresql.create_database("outage")
    await migrate(database)
    rig = await make_rig(TIDINGS_DATABASE_URL=database, TIDINGS_DATABASE_TIMEOUT="2s")
    channel = ScriptedChannel(script=lambda *_: 0.25)
    async with rig.working(channel):
        ids = await rig.publish_many(600)
        for _ in range(2):
            before = len(channel.sent)
            await eventually(lambda before=before: len(channel.sent) > before + 30)
            await asyncio.to_thread(own_postgresql.kill)
            await asyncio.to_thread(own_postgresql.start)
        await all_reach(rig, ids, "sent", within=60)
    assert set(channel.sent) == set(ids)
    assert max(channel.sent.values()) == 1
    own_postgresql.drop_database("outage")


async def test_rabbitmq_killed_under_load_loses_nothing(
    make_rig: MakeRig, own_rabbitmq: RabbitMQ
) -> None:
    rig = await make_rig(TIDINGS_AMQP_URL=own_rabbitmq.amqp_url)
    channel = ScriptedChannel(script=lambda *_: 0.02)
    async with rig.working(channel):
        await rig.connect(own_rabbitmq.amqp_url)
        ids = await rig.publish_many(400)
        await eventually(lambda: len(channel.sent) > 50)
        await asyncio.to_thread(own_rabbitmq.kill)
        await asyncio.to_thread(own_rabbitmq.start)
        await all_reach(rig, ids, "sent", within=60)
    assert set(channel.sent) == set(ids)
    assert max(channel.sent.values()) == 1


async def test_stopping_lets_go_of_what_was_not_begun(rig: Rig) -> None:
    slow, quick = ScriptedChannel(script=lambda *_: 2.0), ScriptedChannel()
    async with rig.working(slow, "first"):
        ids = await rig.publish_many(120)
        await eventually(lambda: slow.under_way == 50)
    assert slow.under_way == 0
    begun = len(slow.requests)
    assert sum(slow.sent.values()) == begun < 120
    async with rig.working(quick, "second"):
        await all_reach(rig, ids, "sent")
    assert sum(quick.sent.values()) == 120 - begun


async def test_what_was_sent_while_broker_and_database_were_away_is_recorded_all_the_same(
    make_rig: MakeRig, management: Management, own_postgresql: PostgreSQL
) -> None:
    database = own_postgresql.create_database("blip")
    await migrate(database)
    rig = await make_rig(TIDINGS_DATABASE_URL=database, TIDINGS_DATABASE_TIMEOUT="2s")
    channel = ScriptedChannel(script=lambda *_: 4.0)
    async with rig.working(channel):
        ids = await rig.publish_many(5)
        await eventually(lambda: channel.under_way == 5)
        await asyncio.to_thread(own_postgresql.kill)
        await eventually(management.close_connections)
        await eventually(lambda: len(channel.sent) == 5)
        await asyncio.to_thread(own_postgresql.start)
        await all_reach(rig, ids, "sent", within=60)
    assert len(channel.requests) == 5
    own_postgresql.drop_database("blip")


async def test_a_scheduler_that_lost_what_wakes_it_listens_again_and_stops_when_told(
    rig: Rig,
) -> None:
    listener = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"

    async def listens(*others: object) -> bool:
        return any(row["pid"] not in others for row in await rig.fetch(f"SELECT pid {listener}"))

    channel = ScriptedChannel()
    async with asyncio.timeout(30), rig.working(channel), rig.scheduling():
        await eventually(listens)
        [before] = await rig.fetch(f"SELECT pid, pg_terminate_backend(pid) {listener}")
        await eventually(lambda: listens(before["pid"]))
        due = datetime.now(UTC) + timedelta(seconds=1)
        id = await rig.publish(scheduled_at=due.isoformat())
        await rig.reaches(id, "sent")
