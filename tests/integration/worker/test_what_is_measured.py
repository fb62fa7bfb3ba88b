"""The metrics of worker and scheduler are correct."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Misconfigured

EMAIL = {"channel": "email"}


def measured(rig: Rig, name: str, **labels: str) -> float:
    return rig.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_a_send_that_pauses_its_channel_is_counted_as_no_other_outcome(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_PROBE="200ms")
    wrong = [Misconfigured("535 wrong password", provider="smtp:x", code="535")] * 2
    channel = ScriptedChannel(script=lambda *_: wrong.pop() if wrong else None)
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    counted = {
        outcome: measured(rig, "tidings_attempts_total", outcome=outcome, **EMAIL)
        for outcome in ("released", "sent", "retry_later")
    }
    assert counted == {"released": 2, "sent": 1, "retry_later": 0}
    assert measured(rig, "tidings_failures_total", kind="misconfigured", **EMAIL) == 2
    assert measured(rig, "tidings_channel_suspended", **EMAIL) == 0


async def test_what_was_scheduled_is_measured_from_when_it_was_due(rig: Rig) -> None:
    due = datetime.now(UTC) + timedelta(seconds=2)
    async with rig.working(ScriptedChannel()), rig.scheduling():
        id = await rig.publish(scheduled_at=due.isoformat())
        await rig.reaches(id, "sent")
        await eventually(lambda: measured(rig, "tidings_delivery_seconds_count", **EMAIL) == 1)
    assert measured(rig, "tidings_delivery_seconds_sum", **EMAIL) < 1.5
    assert measured(rig, "tidings_scheduler_dispatched_total") == 1
    assert measured(rig, "tidings_scheduler_lateness_seconds_sum") == pytest.approx(0.5, abs=0.5)
