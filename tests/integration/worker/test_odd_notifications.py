"""A notification that no provider can deliver is its own problem: others flow on, urgent ones first."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.errors import Deferred, DeliveryError, Misconfigured, Unavailable

MakeRig = Callable[..., Awaitable[Rig]]
ODD = "odd@example.com"
SWIFT = {
    "TIDINGS_EMAIL_CIRCUIT_FAILURES": "3",
    "TIDINGS_EMAIL_CIRCUIT_PROBE": "100ms",
    "TIDINGS_EMAIL_RETRY": "1s 1s",
}


def channel(error: DeliveryError) -> ScriptedChannel:
    """Fails for the odd ones, always alike."""
    return ScriptedChannel(
        script=lambda request, _: error if request.notification.recipient == ODD else None
    )


async def ends(rig: Rig, state: str, ids: list[UUID]) -> bool:
    rows = await rig.fetch("SELECT id FROM notifications WHERE state = $1", state)
    return {row["id"] for row in rows} >= set(ids)


@pytest.mark.parametrize(
    "error",
    [
        Deferred("452 mailbox full"),
        Unavailable("451 for this one only"),
        Misconfigured("554 relay access denied"),
    ],
    ids=lambda error: error.kind,
)
async def test_odd_ones_become_dead_letters_and_hold_up_nobody(
    make_rig: MakeRig, error: DeliveryError
) -> None:
    rig = await make_rig(**SWIFT)
    async with rig.working(channel(error)):
        good, odd = [], []
        for _ in range(20):
            good.append(await rig.publish())
            odd.append(await rig.publish(recipient=ODD))
        await eventually(lambda: ends(rig, "sent", good))
        for _ in range(8):  # they come again and again meanwhile
            id = await rig.publish("email.urgent")
            await rig.reaches(id, "sent", within=1)
            await asyncio.sleep(0.3)
        await eventually(lambda: ends(rig, "failed", odd))
    [row] = await rig.fetch("SELECT max(attempt) AS most FROM attempts")
    assert row["most"] == 3


async def test_an_urgent_one_that_failed_does_not_go_first_each_time_a_provider_is_tried(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(**SWIFT, TIDINGS_EMAIL_CONCURRENCY="1", TIDINGS_EMAIL_PREFETCH="20")
    scripted = ScriptedChannel(script=lambda *_: Unavailable("down"))
    async with rig.working(scripted):
        await rig.publish("email.urgent")
        await rig.publish_many(15)
        await eventually(lambda: len(scripted.requests) >= 8)
        probes = [request.attempt.id for request in scripted.requests[3:]]
        assert len(set(probes)) == len(probes)
