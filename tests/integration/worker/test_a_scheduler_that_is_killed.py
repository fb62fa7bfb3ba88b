"""What a killed scheduler held is published by another one within seconds."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.doubles.channel import ScriptedChannel
from tests.support.broker_rig import ONE_TIER
from tests.support.processes import running
from tests.support.relay import Relay
from tests.support.worker_rig import Rig, eventually

from tidings.ledger.notifications.dispatch import LEASE

MANY = 600
HELD = (
    "SELECT max(extract(epoch FROM dispatch_at - now()))::float8 AS seconds, count(*) AS count "
    "FROM notifications WHERE state = 'queued' AND dispatch_at > now()"
)


async def test_what_a_killed_scheduler_held_is_published_within_five_seconds(
    rig: Rig, tmp_path: Path
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with rig.working(ScriptedChannel()):
        for _ in range(MANY):
            await rig.publish(scheduled_at=soon)
        await eventually(lambda: _count(rig, "state = 'scheduled'", MANY), within=30)
    (url,) = rig.settings.broker.urls
    async with Relay(url) as relay:
        env = {
            **ONE_TIER,
            "TIDINGS_AMQP_URL": relay.url,
            "TIDINGS_DATABASE_URL": rig.settings.ledger.database_url.get_secret_value(),
        }
        async with running("scheduler", env=env, log=tmp_path / "scheduler.log") as scheduler:
            relay.hold_replies()  # nothing is confirmed to it, however fast it is
            await rig.fetch("UPDATE notifications SET dispatch_at = now()")
            await rig.fetch("SELECT pg_notify('tidings_due', '')")
            await eventually(lambda: _holds_some(rig))
            scheduler.signal(signal.SIGKILL)
            assert await scheduler.ended() == -signal.SIGKILL
    (held,) = await rig.fetch(HELD)
    assert held["count"], "it was killed while it held some"
    assert 0 < float(str(held["seconds"])) <= LEASE < 5
    async with rig.scheduling():
        await eventually(lambda: _count(rig, "dispatch_at IS NULL", MANY), within=10)


async def _holds_some(rig: Rig) -> bool:
    (held,) = await rig.fetch(HELD)
    return bool(held["count"])


async def _count(rig: Rig, where: str, wanted: int) -> bool:
    rows = await rig.fetch(f"SELECT count(*) AS count FROM notifications WHERE {where}")  # noqa: S608  # ours
    return rows[0]["count"] == wanted
