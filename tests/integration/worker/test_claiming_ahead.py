"""A message is claimed while its place is still in use, and nothing is lost or sent twice by it."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.doubles.ledger import ChangedLedger
from tests.integration.worker.conftest import MakeRig
from tests.support.worker_rig import Rig, eventually

from tidings.delivery.orders import WHOLE_CHANNEL, Verb
from tidings.delivery.outcome import Claim
from tidings.delivery.ports import ClaimRequest, Ledger, SendRequest

SENDING = "SELECT id FROM notifications WHERE state = 'sending'"


def counting(claims: Counter[UUID]) -> Callable[[Ledger], Ledger]:
    """A ledger that counts how often each notification is claimed."""

    async def claim(ledger: Ledger, request: ClaimRequest) -> Claim:
        claims[request.attempt.id] += 1
        return await ledger.claim(request)

    return partial(ChangedLedger, claiming=claim)


def slow_ones_take(seconds: float):
    def script(request: SendRequest, _: int) -> float:
        return seconds if request.attempt.notification.category == "slow" else 0.002

    return script


async def three_of_which_two_are_sent(rig: Rig, channel: ScriptedChannel) -> tuple[UUID, ...]:
    """Of three slow messages, the third is claimed and waits: two are sent at once."""
    for _ in range(10):  # from these it learns how long claims and sends take
        await rig.publish()
    await eventually(lambda: len(channel.sent) == 10)
    ids = [await rig.publish(category="slow") for _ in range(3)]

    async def all_claimed() -> bool:
        return len(await rig.fetch(SENDING)) == 3

    await eventually(all_claimed)
    assert channel.under_way == 2
    return tuple(ids)


async def test_who_waits_for_a_place_longer_than_its_lease_is_good_for_claims_again(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="2", TIDINGS_LEASE_MARGIN="0.4s")
    channel = ScriptedChannel(script=slow_ones_take(0.8))
    claims: Counter[UUID] = Counter()
    async with rig.working(channel, changed=counting(claims)):
        *first, waiting = await three_of_which_two_are_sent(rig, channel)
        await rig.reaches(waiting, "sent")

    assert [claims[id] for id in (*first, waiting)] == [1, 1, 2]
    assert set(channel.sent.values()) == {1}
    assert channel.most_at_once == 2


async def test_who_waits_for_a_place_when_the_worker_stops_is_given_back_unspent(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="2", TIDINGS_GRACE="0.1s")
    channel = ScriptedChannel(script=slow_ones_take(60.0))
    async with rig.working(channel):
        *first, waiting = await three_of_which_two_are_sent(rig, channel)

    assert {row["id"] for row in await rig.fetch(SENDING)} == set(first)
    quick = ScriptedChannel()
    async with rig.working(quick):
        await rig.reaches(waiting, "sent")
    [attempt] = await rig.fetch("SELECT attempt FROM attempts WHERE notification_id = $1", waiting)
    assert attempt["attempt"] == 1
    assert not set(first) & quick.sent.keys()


async def test_who_waits_for_a_place_when_its_worker_stops_in_peace_is_put_aside(
    make_rig: MakeRig, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="2")
    channel = ScriptedChannel(script=slow_ones_take(0.5))
    async with rig.working(channel):
        *first, waiting = await three_of_which_two_are_sent(rig, channel)

    assert set(first) < channel.sent.keys()
    assert waiting not in channel.sent
    await rig.reaches(waiting, "queued")
    assert "gave up" not in capsys.readouterr().out


async def test_who_waits_for_a_place_when_the_channel_is_paused_is_not_sent(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="2")
    channel = ScriptedChannel(script=slow_ones_take(3.0))
    async with rig.working(channel):
        *first, waiting = await three_of_which_two_are_sent(rig, channel)
        await rig.order(WHOLE_CHANNEL, Verb.PAUSE)
        await eventually(lambda: rig.workers[-1].paused)
        for id in first:
            await rig.reaches(id, "sent")
        await rig.reaches(waiting, "queued")

        assert waiting not in channel.sent
        await rig.order(WHOLE_CHANNEL, Verb.RESUME)
        await rig.reaches(waiting, "sent")


async def test_nothing_is_claimed_ahead_where_a_crash_would_leave_it_in_doubt_for_good(
    make_rig: MakeRig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="2", TIDINGS_EMAIL_GUARANTEE="at_most_once")
    channel = ScriptedChannel(script=slow_ones_take(0.3))
    async with rig.working(channel):
        for _ in range(10):
            await rig.publish()
        await eventually(lambda: len(channel.sent) == 10)
        ids = [await rig.publish(category="slow") for _ in range(4)]
        await eventually(lambda: channel.under_way == 2)

        assert len(await rig.fetch(SENDING)) == 2
        for id in ids:
            await rig.reaches(id, "sent")
