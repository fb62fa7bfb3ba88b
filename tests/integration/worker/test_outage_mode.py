"""A provider that is down burns no attempts, and an operator's word reaches every worker."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from uuid import UUID

from tests.doubles.channel import ScriptedChannel
from tests.support.forked import tidings
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.circuit import Phase
from tidings.delivery.errors import Unavailable
from tidings.delivery.orders import WHOLE_CHANNEL, Verb
from tidings.ledger import PostgresLedger, migrate
from tidings_local.management import Management
from tidings_local.postgres import PostgreSQL

MakeRig = Callable[..., Awaitable[Rig]]
EMAIL = {"channel": "email", "provider": "primary"}
DOWN = Unavailable("451 try later", provider="smtp:x", code="451")
TINY = {
    "TIDINGS_EMAIL_CIRCUIT_FAILURES": "3",
    "TIDINGS_EMAIL_CIRCUIT_PROBE": "300ms",
    "TIDINGS_EMAIL_CONCURRENCY": "5",
}


class Provider:
    """Up or down, as the test says."""

    def __init__(self) -> None:
        self.up = False
        self.channel = ScriptedChannel(script=lambda *_: None if self.up else DOWN)


async def all_sent(rig: Rig, ids: list[UUID]) -> bool:
    [row] = await rig.fetch("SELECT count(*) AS n FROM notifications WHERE state = 'sent'")
    return row["n"] == len(ids)


def state(rig: Rig) -> float | None:
    return rig.metrics.registry.get_sample_value("tidings_circuit_state", EMAIL)


async def test_while_a_provider_is_down_attempts_are_spared_and_afterwards_everything_is_sent(
    make_rig: MakeRig, management: Management
) -> None:
    rig = await make_rig(**TINY, TIDINGS_EMAIL_PREFETCH="5")
    provider = Provider()
    async with rig.working(provider.channel):
        ids = await rig.publish_many(60)
        await eventually(lambda: state(rig) == 2)
        before = len(provider.channel.requests)
        await eventually(lambda: len(provider.channel.requests) >= before + 3)  # probes
        assert len(provider.channel.requests) < 20
        assert provider.channel.most_at_once <= 5
        await eventually(lambda: left_in_the_lane(management, 40))
        spent = await rig.fetch("SELECT attempt, state FROM attempts")
        assert (
            spent == [{"attempt": 1, "state": "retrying"}] * 3
        )  # those that showed that it is down
        provider.up = True
        await eventually(lambda: all_sent(rig, ids), within=30)
        await eventually(lambda: state(rig) == 0)
    assert set(provider.channel.sent) == set(ids)
    assert set(provider.channel.sent.values()) == {1}
    [row] = await rig.fetch("SELECT max(attempt) AS most FROM attempts")
    assert row["most"] == 2


async def left_in_the_lane(management: Management, at_least: int) -> bool:
    """Whether the lane has no consumer, and that many messages wait in it."""
    queue = await management.queue("tidings.email.normal")
    return queue.get("consumers") == 0 and queue.get("messages_ready", 0) >= at_least


async def test_a_worker_that_stops_during_an_outage_leaves_nothing_behind_and_burns_nothing(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**TINY)
    provider = Provider()
    async with rig.working(provider.channel):
        ids = await rig.publish_many(20)
        await eventually(lambda: state(rig) == 2)
        await eventually(lambda: reported(rig, "primary"))
    assert await reported(rig, "primary") == []
    await rig.fetch(RULE)
    assert (
        await over(rig) == frozenset()
    )  # that nobody finds it down now does not say that it is up
    provider.up = True
    async with rig.working(provider.channel, "another"):
        await eventually(lambda: all_sent(rig, ids), within=20)
        await eventually(lambda: over(rig), within=15)


RULE = """
INSERT INTO alert_rules (id, tenant, name, watch, to_channel, recipient, known, threshold, lasting, every, counted_from, created_by, updated_by)
VALUES (gen_random_uuid(), '*', 'relay', 'providers', 'email', 'ops@example.com', '{email primary}', 1, 0, 900, now(), 'jane', 'jane')
"""


async def over(rig: Rig) -> frozenset[str]:
    """What the rule would say is over."""
    [row] = await rig.fetch("SELECT id FROM alert_rules")
    async with PostgresLedger(rig.settings.ledger, actor="test") as ledger:
        report = await ledger.rule_alerts.take(UUID(str(row["id"])))
        await ledger.rule_alerts.release(UUID(str(row["id"])))
    return frozenset() if report is None else report.over


async def reported(rig: Rig, provider: str) -> list[dict[str, object]]:
    return await rig.fetch(
        "SELECT * FROM circuits WHERE provider = $1 AND phase <> 'closed'", provider
    )


async def test_operators_are_told_once_of_an_outage_that_many_workers_find(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**TINY)
    provider = Provider()
    async with rig.working(provider.channel), rig.working(provider.channel, "another"):
        await rig.publish_many(60)

        async def both_found_it() -> bool:
            return len(await reported(rig, "primary")) == 2

        await eventually(both_found_it, within=20)
        [row] = await rig.fetch("SELECT pending FROM alerts WHERE topic = 'outages'")
        assert row["pending"] == 1
        listed = await tidings("stats", env=environment())
        assert "down" in listed.out
        assert "451 try later" in listed.out
        provider.up = True


async def test_a_pause_by_hand_holds_every_worker_and_outlasts_a_restart(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig()
    first, second = ScriptedChannel(), ScriptedChannel()
    async with rig.working(first, "first"):
        async with rig.working(second, "second"):
            done = await tidings(
                "channels", "pause", "email", "--note", "moving", env=environment()
            )
            assert done.code == 0, done.err
            await eventually(lambda: all(suspended(rig, place) for place in (0, 1)), within=5)
            ids = await rig.publish_many(10)
        async with rig.working(second, "second again"):  # it knows before it takes anything
            assert suspended(rig, 2)
            assert await rig.depth("tidings.email.normal") == 10
            listed = await tidings("channels", "list", "--json", env=environment())
            assert '"state": "paused"' in listed.out
            assert ": moving" in listed.out
            assert first.requests + second.requests == []
            await tidings("channels", "resume", "email", "--note", "moved", env=environment())
            await eventually(lambda: all_sent(rig, ids), within=10)
    history = await tidings("channels", "history", "email", env=environment())
    assert [line.split()[-1] for line in history.out.splitlines()[1:]] == ["moved", "moving"]


def environment() -> dict[str, str]:
    """As the rig has set it by now."""
    return dict(os.environ)


def suspended(rig: Rig, place: int) -> bool:
    return rig.workers[place].paused == ("email",)


async def test_a_circuit_is_opened_and_closed_by_hand(make_rig: MakeRig) -> None:
    rig = await make_rig()
    channel = ScriptedChannel()
    async with rig.working(channel):
        await tidings(
            "channels", "disable", "email", "--note", "their maintenance", env=environment()
        )
        await eventually(lambda: state(rig) == 2, within=5)
        id = await rig.publish()
        await eventually(lambda: reported(rig, "primary"))
        [row] = await reported(rig, "primary")
        assert (row["phase"], str(row["reason"])[-19:]) == (Phase.DISABLED, ": their maintenance")
        assert not channel.requests
        await rig.order("primary", Verb.ENABLE)
        await rig.reaches(id, "sent")


async def test_what_a_worker_has_in_hand_is_sent_as_soon_as_its_circuit_is_closed_by_hand(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="1")
    channel = ScriptedChannel(script=lambda *_: 0.5)
    async with rig.working(channel):
        ids = await rig.publish_many(5)
        await eventually(lambda: channel.requests)
        await rig.order("primary", Verb.DISABLE, "their maintenance")
        await eventually(lambda: state(rig) == 2)
        await asyncio.sleep(0.6)  # what was being sent has ended
        assert len(channel.requests) < len(ids)
        assert await rig.depth("tidings.email.normal") == 0  # nothing comes that would wake it
        await rig.order("primary", Verb.ENABLE)
        await eventually(lambda: all_sent(rig, ids))


async def test_postgresql_going_away_resumes_nothing(
    make_rig: MakeRig, own_postgresql: PostgreSQL
) -> None:
    database = own_postgresql.create_database("paused")
    await migrate(database)
    rig = await make_rig(TIDINGS_DATABASE_URL=database, TIDINGS_DATABASE_TIMEOUT="1s")
    async with rig.working(ScriptedChannel()):
        await rig.order(WHOLE_CHANNEL, Verb.PAUSE)
        await eventually(lambda: suspended(rig, 0), within=5)
        await asyncio.to_thread(own_postgresql.kill)
        id = await rig.publish()
        await eventually(lambda: not rig.workers[0].orders_available, within=10)
        assert suspended(rig, 0)
        await asyncio.to_thread(own_postgresql.start)
        await eventually(lambda: rig.workers[0].orders_available, within=20)
        assert await rig.depth("tidings.email.normal") == 1
        await rig.order(WHOLE_CHANNEL, Verb.RESUME)
        await rig.reaches(id, "sent", within=20)
    own_postgresql.drop_database("paused")
