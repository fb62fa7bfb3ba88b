"""Relays are killed, and their servers go away: nothing is lost, and an id is published again at most as itself."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg
from tests.support.killed_relay import BATCH, STEPS
from tests.support.outbox_rig import OutboxRig, ids, subjects
from tests.support.relay import Relay as Wire
from tests.support.worker_rig import eventually

OPEN_TRANSACTIONS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
ROOT = Path(__file__).parents[3]


async def ends_at(step: str, rig: OutboxRig) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.killed_relay", step,
        cwd=ROOT,
        env={**os.environ, "DSN": rig.dsn, "SCHEMA": rig.schema, "BROKER": rig.broker_url},
    )  # fmt: skip
    async with asyncio.timeout(30):
        return await process.wait()


async def test_relays_killed_at_each_step_lose_nothing(rig: OutboxRig) -> None:
    """All at once on one outbox, so that each also works beside others that die."""
    await rig.bind()
    wanted = await rig.add(*map(str, range(16 * BATCH)))
    codes = await asyncio.gather(*(ends_at(step, rig) for step in STEPS))
    assert codes == [-signal.SIGKILL] * len(STEPS)
    assert await rig.states() != {}
    async with rig.relaying() as relay:
        await rig.drained()
    assert relay.counts.failed == 0
    found = ids(await rig.in_the_lane())
    assert {*found} == {*wanted}
    # What was under way in three of them was published, and not settled.
    assert len(found) - len(wanted) <= 3 * BATCH
    assert await rig.states() == {}


async def test_two_relays_share_the_work_and_publish_each_row_once(rig: OutboxRig) -> None:
    await rig.bind()
    async with rig.relaying(batch=20) as first, rig.relaying(batch=20) as second:
        await eventually(lambda: first.ready and second.ready)
        wanted = await rig.add(*map(str, range(600)))
        await rig.drained()
    assert first.counts.published + second.counts.published == len(wanted)
    assert min(first.counts.published, second.counts.published) > 0
    assert sorted(ids(await rig.in_the_lane())) == sorted(wanted)


async def test_a_broker_that_is_down_is_waited_for_with_no_transaction_open(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    async with Wire(rig.broker_url) as wire:
        url = wire.url
        wire.lead_to("amqp://127.0.0.1:1")
        async with rig.relaying(broker_url=url, timeout=1) as relay:
            await eventually(lambda: "RabbitMQ" in relay.last_error)
            wanted = await rig.add("first", "second")
            assert not relay.ready
            assert await rig.database.fetchval(OPEN_TRANSACTIONS) == 0
            assert [*(await rig.states()).values()] == ["pending", "pending"]
            wire.lead_to(rig.broker_url)
            assert ids(await rig.taken(2)) == wanted
            await rig.drained()
            await eventually(lambda: relay.ready)


async def test_a_broker_that_answers_nothing_holds_its_rows_no_longer_than_the_timeout(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    async with (
        Wire(rig.broker_url) as wire,
        rig.relaying(broker_url=wire.url, timeout=0.5) as relay,
    ):
        await eventually(lambda: relay.ready)
        wire.hold_replies()
        [id] = await rig.add("held")
        await eventually(lambda: "no confirm within 0.5s" in relay.last_error)
        lock = "SELECT id FROM tidings_outbox FOR UPDATE SKIP LOCKED"
        await eventually(lambda: rig.database.fetchval(lock))
        wire.cut()
        wire.let_go()
        await rig.drained()
    assert {*ids(await rig.in_the_lane())} == {id}


async def test_connections_to_rabbitmq_that_are_cut_are_opened_again(rig: OutboxRig) -> None:
    await rig.bind()
    async with Wire(rig.broker_url) as wire, rig.relaying(broker_url=wire.url, batch=50) as relay:
        await eventually(lambda: relay.ready)
        wanted = await rig.add(*map(str, range(500)))
        for published in (50, 200):
            await eventually(lambda least=published: relay.counts.published >= least)
            wire.cut()
        await rig.drained()
    assert {*ids(await rig.in_the_lane())} == {*wanted}
    assert wire.connections >= 3


async def test_a_connection_to_postgresql_that_is_cut_is_opened_again_and_listens(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    async with Wire(rig.dsn) as wire, rig.relaying(dsn=wire.url, poll=60) as relay:
        await eventually(lambda: relay.ready)
        wire.cut()
        await eventually(lambda: wire.connections == 2 and relay.ready)
        await rig.add("heard")
        assert subjects(await rig.taken(1)) == ["heard"]


async def test_a_session_that_an_operator_ends_in_the_middle_of_a_batch_loses_nothing(
    rig: OutboxRig,
) -> None:
    await rig.bind()
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'tidings outbox relay' AND datname = current_database()"
    )
    async with rig.relaying(batch=10) as relay:
        await eventually(lambda: relay.ready)
        wanted = await rig.add(*map(str, range(400)))
        await eventually(lambda: relay.counts.published > 50)
        await rig.database.execute(end)
        await rig.drained()
    found = ids(await rig.in_the_lane())
    assert {*found} == {*wanted}
    assert len(found) <= len(wanted) + 10


async def test_without_tidings_exchange_rows_wait_and_are_published_once_it_is_there(
    rig: OutboxRig,
) -> None:
    [id] = await rig.add("early")
    async with rig.relaying(attempts=1) as relay:
        await eventually(lambda: "there is no exchange" in relay.last_error)
        assert await rig.states() == {id: "pending"}
        await rig.bind()
        assert ids(await rig.taken(1)) == [id]
        await rig.drained()


async def test_a_message_that_the_broker_refuses_is_found_and_its_neighbours_are_published(
    rig: OutboxRig,
) -> None:
    """A header that RabbitMQ rejects closes the channel, and it does not say which message had it."""
    await rig.bind()
    poison = await rig.insert(
        {"channel": "sms", "recipient": "+14155550123", "body": "Hello"}, '{"CC": "not a list"}'
    )
    wanted = await rig.add(*map(str, range(20)))
    async with rig.relaying(attempts=2, poll=0.05):
        assert {*ids(await rig.taken(20))} == {*wanted}
        await rig.drained()
    assert await rig.states() == {poison: "failed"}
    reason = await rig.database.fetchval("SELECT last_error FROM tidings_outbox")
    assert "the broker refused it" in reason


async def test_an_error_of_its_own_does_not_end_a_relay(rig: OutboxRig) -> None:
    calls = 0

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        nonlocal calls
        calls += 1
        if calls == 1:
            raise LookupError("a bug")
        return await asyncpg.connect(rig.dsn)

    await rig.bind()
    async with rig.relaying(connect=connect) as relay:
        await eventually(lambda: "unexpected error" in relay.last_error)
        assert not relay.ready
        wanted = await rig.add("after it")
        assert ids(await rig.taken(1)) == wanted
