"""What is given up after an attempt that may have been delivered is `unknown`: `failed` means that nothing arrived."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.attempts import message_of, read_in_its_lane
from tests.support.worker_rig import Rig

from tidings.delivery.errors import DeliveryError, OutcomeUnknown, Rejected, Unavailable
from tidings.delivery.outcome import Claimed
from tidings.delivery.ports import ClaimRequest, SendRequest
from tidings.ledger import PostgresLedger
from tidings_events.routing import Headers

LOST = OutcomeUnknown("no reply after the final dot")


def in_turn(*errors: DeliveryError) -> ScriptedChannel:
    """Each send fails with the next of these, the others with the last."""

    def script(_: SendRequest, before: int) -> DeliveryError:
        return errors[min(before, len(errors) - 1)]

    return ScriptedChannel(script=script)


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ((LOST, Unavailable("450 greylisted")), "exhausted"),
        ((LOST, Rejected("550 no such user")), "rejected"),
        ((Unavailable("450 greylisted"), LOST), "exhausted"),
    ],
    ids=["exhausted", "rejected", "the last reply lost"],
)
async def test_what_may_have_arrived_ends_as_unknown(
    rig: Rig, errors: tuple[DeliveryError, ...], why: str
) -> None:
    channel = in_turn(*errors)
    async with rig.working(channel):
        id = await rig.publish(max_retries=1)
        await rig.reaches(id, "unknown")
        dead_letter = await rig.dead_letter()
    assert len(channel.requests) == 2
    assert dead_letter.headers[Headers.REASON] == "outcome_unknown"
    message = f"{why} after an attempt that may have been delivered: {errors[-1].message}"
    assert dead_letter.headers[Headers.ERROR_MESSAGE] == message
    assert dead_letter.headers[Headers.ERROR_CLASS] == errors[-1].kind


async def test_one_that_may_have_arrived_and_expires_is_unknown(make_rig) -> None:
    rig = await make_rig(TIDINGS_CATEGORIES='{"otp": {"expires_after": "2s"}}')
    async with rig.working(in_turn(LOST)):
        id = await rig.publish(category="otp")
        await rig.reaches(id, "unknown")
        dead_letter = await rig.dead_letter()
    assert str(dead_letter.headers[Headers.ERROR_MESSAGE]).startswith(
        "expired after an attempt that"
    )


@pytest.mark.parametrize("guarantee", ["at_most_once", "at_least_once"])
async def test_one_whose_worker_vanished_and_that_has_expired_since_is_unknown(
    make_rig, guarantee: str
) -> None:
    """Expired or not, it may have arrived; edited and replayed it would arrive twice."""
    rig = await make_rig(TIDINGS_EMAIL_GUARANTEE=guarantee)
    async with rig.working(ScriptedChannel()):
        pass  # what it needs is declared
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    id = await rig.publish(expires_at=soon.isoformat())
    async with PostgresLedger(rig.settings.ledger, actor="vanished") as ledger:
        attempt = read_in_its_lane(message_of(id=str(id), expires_at=soon.isoformat()))
        assert await ledger.claim(ClaimRequest(attempt, "vanished/1", 0.4, soon)) == Claimed()
        await asyncio.sleep((soon - datetime.now(UTC)).total_seconds())
    channel = ScriptedChannel()
    async with rig.working(channel):
        await rig.reaches(id, "unknown")
        dead_letter = await rig.dead_letter()
    assert not channel.requests
    assert dead_letter.headers[Headers.REASON] == "outcome_unknown"


async def test_one_of_whose_earlier_attempts_nothing_is_known_is_unknown(make_rig) -> None:
    """The database was restored, and RabbitMQ hands out again what was sent before."""
    rig = await make_rig(TIDINGS_EMAIL_GUARANTEE="at_most_once")
    channel = ScriptedChannel()
    async with rig.working(channel):
        id = await rig.publish(headers={Headers.ATTEMPT: 2, Headers.EPOCH: 0})
        await rig.reaches(id, "unknown")
        dead_letter = await rig.dead_letter()
        await rig.reaches(await rig.publish(), "sent")
    assert len(channel.requests) == 1
    assert dead_letter.headers[Headers.REASON] == "outcome_unknown"


async def test_what_certainly_did_not_arrive_is_failed(rig: Rig) -> None:
    async with rig.working(in_turn(Unavailable("450 greylisted"), Rejected("550 no such user"))):
        id = await rig.publish()
        await rig.reaches(id, "failed")
