"""If a step fails with an unexpected error, its message is settled and others are delivered."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.doubles.ledger import ChangedLedger
from tests.integration.worker.conftest import MakeRig
from tests.support.worker_rig import Rig, eventually

from tidings.broker.topology.layout import DEAD
from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import LocalShortage, Unavailable
from tidings.delivery.orders import Order
from tidings.delivery.outcome import Claim
from tidings.delivery.ports import ClaimRequest, Controls, Ledger, Record
from tidings_events.routing import Headers

LANE = "tidings.email.normal"
DEATHS: list[tuple[str, type[BaseException]]] = [
    ("claim", RuntimeError),
    ("claim", asyncio.CancelledError),
    ("before record", RuntimeError),
    ("after record", asyncio.CancelledError),
    ("after record", MemoryError),
]


def breaking(step: str, fault: type[BaseException]) -> Callable[[Ledger], Ledger]:
    """A ledger of which each message's first visit at one step fails."""
    visited: set[object] = set()

    def once(at: str, attempt: Attempt) -> None:
        if at == step and attempt.id not in visited:
            visited.add(attempt.id)
            raise fault

    async def claim(ledger: Ledger, request: ClaimRequest) -> Claim:
        once("claim", request.attempt)
        return await ledger.claim(request)

    async def record(ledger: Ledger, record: Record) -> bool:
        once("before record", record.attempt)
        ours = await ledger.record(record)
        once("after record", record.attempt)
        return ours

    return partial(
        ChangedLedger, claiming=claim, recording=record, releasing=partial(once, "release")
    )


@pytest.mark.parametrize(("step", "fault"), DEATHS)
async def test_a_message_whose_step_dies_is_given_back_and_delivered(
    make_rig: MakeRig, step: str, fault: type[BaseException]
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_SEND_TIMEOUT="1s", TIDINGS_LEASE_MARGIN="1s")
    channel = ScriptedChannel()
    async with rig.working(channel, changed=breaking(step, fault)):
        ids = await rig.publish_many(5)
        await eventually(lambda: all(channel.sent[id] for id in ids))
        for id in ids:
            await rig.reaches(id, "sent", within=30)
        await eventually(lambda: is_empty(rig, LANE))
    assert await rig.depth(DEAD) == 0


async def test_a_message_whose_claim_could_not_be_given_back_comes_again(make_rig: MakeRig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_SEND_TIMEOUT="1s", TIDINGS_LEASE_MARGIN="1s")
    channel = ScriptedChannel(script=lambda _, before: None if before else Unavailable("down"))
    async with rig.working(channel, changed=breaking("release", RuntimeError)):
        id = await rig.publish()
        await rig.reaches(id, "sent", within=20)
        await eventually(lambda: is_empty(rig, LANE))


async def is_empty(rig: Rig, queue: str) -> bool:
    return await rig.depth(queue) == 0


async def test_a_task_that_dies_makes_its_worker_not_ready_until_it_goes_on(rig: Rig) -> None:
    broken = asyncio.Event()

    class Dying:
        def __init__(self, controls: Controls) -> None:
            self.controls = controls
            self.say = controls.report_circuits

        async def orders(self) -> Sequence[Order]:
            if broken.is_set():
                raise RuntimeError("nobody foresaw this")
            return await self.controls.orders()

    def dying(ledger: Ledger) -> Ledger:
        return ChangedLedger(ledger, watched=Dying(ledger.controls))

    channel = ScriptedChannel()
    async with rig.working(channel, changed=dying):
        [worker] = rig.workers
        broken.set()
        await eventually(lambda: not worker.ready)
        id = await rig.publish()  # the rest of it goes on
        await rig.reaches(id, "sent")
        broken.clear()
        await eventually(lambda: worker.ready, within=20)


async def test_our_own_want_counts_nothing_against_a_message(rig: Rig) -> None:
    shortages = [OSError(errno.EMFILE, "Too many open files") for _ in range(2)]

    async def claim(ledger: Ledger, request: ClaimRequest) -> Claim:
        if shortages:
            raise shortages.pop()
        return await ledger.claim(request)

    channel = ScriptedChannel()
    async with rig.working(channel, changed=partial(ChangedLedger, claiming=claim)):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    (request,) = channel.requests
    assert request.attempt.number == 1
    assert request.attempt.message is not None
    assert "x-delivery-count" not in request.attempt.message.headers
    assert Headers.FIRST_SEEN in request.attempt.message.headers, "it waited a turn"


async def test_a_worker_that_is_short_of_its_own_means_is_not_ready_and_spends_no_attempt(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_PROBE="500ms")
    short = LocalShortage("too many open files")
    channel = ScriptedChannel(script=lambda _, before: short if before < 3 else None)
    async with rig.working(channel):
        (worker,) = rig.workers
        id = await rig.publish(max_retries=0)
        await eventually(lambda: channel.requests and not worker.ready)
        await rig.reaches(id, "sent", within=20)
        await eventually(lambda: worker.ready)
    attempts = await rig.fetch("SELECT attempt, state FROM attempts")
    assert [(attempt["attempt"], attempt["state"]) for attempt in attempts] == [(1, "sent")]
