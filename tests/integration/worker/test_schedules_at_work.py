"""Schedules with everything real: schedulers that are killed, dispatching that is paused, cancelling in a race."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.doubles.channel import ScriptedChannel
from tests.support import forked
from tests.support.broker_rig import ONE_TIER
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Refused
from tidings.delivery.schedule import Misfire, Timing
from tidings.ledger import PostgresLedger
from tidings.ledger.schedules.schedules import NewSchedule

SCHEDULES = 60
DUE = "UPDATE schedules SET next_run_at = now() WHERE next_run_at IS NOT NULL"
SCHEDULED = "SELECT count(*) FROM notifications WHERE state = 'scheduled'"
STEP = 0.005
"""Seconds from one due time to the next."""
FALL_DUE = """
UPDATE notifications SET dispatch_at = now() + place * $2::float8 * interval '1 second'
  FROM unnest($1::uuid[]) WITH ORDINALITY AS racing (racer, place) WHERE id = racer
"""
RUN = "SELECT coalesce(sum(runs), 0) AS runs FROM schedules"


async def make(ledger: PostgresLedger, count: int) -> None:
    for number in range(count):
        new = NewSchedule(
            tenant="default",
            name=f"report-{number}",
            timezone="UTC",
            timing=Timing("0 0 1 1 *", "UTC"),
            misfire=Misfire.SEND_ONCE,
            content={"channel": "email", "subject": "Report", "body": "All is well."},
            recipients=["ada@example.com", "bob@example.com"],
        )
        await ledger.schedules.create(new, actor="test")


def environment_of(rig: Rig) -> dict[str, str]:
    (url,) = rig.settings.broker.urls
    return {
        **ONE_TIER,
        "TIDINGS_AMQP_URL": url,
        "TIDINGS_DATABASE_URL": rig.settings.ledger.database_url.get_secret_value(),
    }


async def count(rig: Rig, query: str) -> int:
    [row] = await rig.fetch(query)
    return int(str(next(iter(row.values()))))


async def test_each_run_is_sent_once_though_schedulers_are_killed_at_any_time(rig: Rig) -> None:
    channel, env = ScriptedChannel(), environment_of(rig)
    async with rig.working(channel), PostgresLedger(rig.settings.ledger, actor="test") as ledger:
        await make(ledger, SCHEDULES)
        async with forked.begun("scheduler", env=env) as first:
            await rig.fetch(DUE)

            async def some_have_run() -> bool:
                return await count(rig, RUN) > 0

            await eventually(some_have_run, within=30)
            first.signal(signal.SIGKILL)
            assert await first.ended() == -signal.SIGKILL
        async with (
            forked.begun("scheduler", env=env) as second,
            forked.begun("scheduler", env=env) as third,
        ):

            async def all_are_sent() -> bool:
                return len(channel.sent) == 2 * SCHEDULES

            await eventually(all_are_sent, within=30)
            for scheduler in (second, third):
                scheduler.signal(signal.SIGTERM)
                await scheduler.ended()
    assert set(channel.sent.values()) == {1}
    assert await count(rig, "SELECT count(*) FROM notifications") == 2 * SCHEDULES
    assert await rig.fetch("SELECT DISTINCT runs FROM schedules") == [{"runs": 1}]


async def test_nothing_is_published_while_dispatching_is_paused_and_all_of_it_afterwards(
    rig: Rig,
) -> None:
    channel = ScriptedChannel()
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with (
        rig.working(channel),
        rig.scheduling(),
        PostgresLedger(rig.settings.ledger, actor="test") as ledger,
    ):
        id_ = await rig.publish(scheduled_at=soon.isoformat())
        await rig.reaches(id_, "scheduled")
        assert await ledger.dispatching.order(paused=True, actor="test", note="")
        await rig.fetch("UPDATE notifications SET dispatch_at = now()")
        await rig.fetch("SELECT pg_notify('tidings_due', '')")

        async def is_late() -> bool:
            return (await ledger.dispatching.backlog()).lag > 0.5

        await eventually(is_late)
        assert await rig.state(id_) == "scheduled"
        assert await ledger.dispatching.order(paused=False, actor="test", note="")
        await rig.reaches(id_, "sent")


async def test_what_is_cancelled_as_it_falls_due_is_sent_or_cancelled_and_never_both(
    rig: Rig,
) -> None:
    channel, later = ScriptedChannel(), datetime.now(UTC) + timedelta(hours=1)
    async with (
        rig.working(channel),
        rig.scheduling(),
        PostgresLedger(rig.settings.ledger, actor="test") as ledger,
    ):
        ids = [await rig.publish(scheduled_at=later.isoformat()) for _ in range(150)]

        async def all_are_scheduled() -> bool:
            return await count(rig, SCHEDULED) == len(ids)

        async def cancel(id: UUID, wait: float) -> bool:
            await asyncio.sleep(wait)
            try:
                await ledger.changes.cancel(id, actor="test", reason="race")
            except Refused:
                return False
            return True

        await eventually(all_are_scheduled, within=30)
        # The last ten stay due in an hour, and nothing is cancelled before one is sent: both sides have some.
        await rig.fetch(FALL_DUE, ids[:-10], STEP)
        await rig.fetch("SELECT pg_notify('tidings_due', '')")
        await eventually(lambda: channel.sent, within=30)
        # From here on each is cancelled as it would be sent, if it takes as long after its due time as the first.
        cancelled = await asyncio.gather(
            *(cancel(id_, place * STEP) for place, id_ in enumerate(ids))
        )
        await eventually(lambda: len(channel.sent) + sum(cancelled) == len(ids), within=20)
    rows = await rig.fetch("SELECT id, state FROM notifications")
    states = {row["id"]: row["state"] for row in rows}
    for id_, was_cancelled in zip(ids, cancelled, strict=True):
        assert (id_ in channel.sent) != was_cancelled
        assert states[id_] == ("cancelled" if was_cancelled else "sent")
    assert 0 < sum(cancelled) < len(ids)
    assert set(channel.sent.values()) == {1}
