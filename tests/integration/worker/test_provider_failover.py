"""A channel with two providers delivers while one of them is down, and shows the provider attempts."""

import os
from collections.abc import Awaitable, Callable

from tests.doubles.channel import ScriptedChannel
from tests.support.forked import tidings
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import OutcomeUnknown, Unavailable

MakeRig = Callable[..., Awaitable[Rig]]
DOWN = Unavailable("421 closing down", provider="smtp:one", code="421")


async def test_while_the_preferred_one_is_down_the_other_sends_in_the_same_attempt(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(
        TIDINGS_EMAIL_FALLBACKS="backup",
        TIDINGS_EMAIL_BACKUP_HOST="not.asked",
        TIDINGS_EMAIL_CIRCUIT_FAILURES="2",
        TIDINGS_EMAIL_CIRCUIT_PROBE="1s",
        TIDINGS_EMAIL_CONCURRENCY="1",
    )
    up: list[bool] = []
    primary = ScriptedChannel(script=lambda *_: None if up else DOWN)
    backup = ScriptedChannel()
    async with rig.working(primary, fallbacks={"backup": backup}):
        ids = [await rig.publish() for _ in range(6)]
        for id in ids:
            await rig.reaches(id, "sent")
        assert set(backup.sent) == set(ids)
        attempts = await rig.fetch("SELECT attempt, state FROM attempts")
        assert attempts == [{"attempt": 1, "state": "sent"}] * 6
        shown = await tidings("show", str(ids[0]), env=dict(os.environ))
        assert "primary unavailable 421 (" in shown.out
        assert ") → backup sent 250 (" in shown.out
        [last] = await rig.fetch(
            "SELECT kind FROM provider_attempts WHERE notification_id = $1 AND provider = 'primary'",
            ids[-1],
        )
        assert last["kind"] in {"not_asked", "out_of_service"}
        up.append(True)

        async def preferred_again() -> bool:
            id = await rig.publish()
            await rig.reaches(id, "sent")
            return id in primary.sent

        await eventually(preferred_again)
    assert primary.closed
    assert backup.closed


async def test_a_lost_reply_at_most_once_goes_to_nobody_else(make_rig: MakeRig) -> None:
    rig = await make_rig(
        TIDINGS_EMAIL_GUARANTEE="at_most_once",
        TIDINGS_EMAIL_FALLBACKS="backup",
        TIDINGS_EMAIL_BACKUP_HOST="not.asked",
    )
    primary = ScriptedChannel(script=lambda *_: OutcomeUnknown("no reply"))
    backup = ScriptedChannel()
    async with rig.working(primary, fallbacks={"backup": backup}):
        id = await rig.publish()
        await rig.reaches(id, "unknown")
    assert not backup.requests
