"""The eight steps, one message at a time, on a real broker and database."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from uuid import UUID, uuid4

from tests.doubles.channel import ScriptedChannel
from tests.doubles.ledger import ChangedLedger
from tests.support.garbage import errors_that_hold_themselves
from tests.support.worker_rig import Rig, eventually

from tidings.broker.topology.layout import DEAD
from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Claim, Sent
from tidings.delivery.ports import ClaimRequest, Ledger, SendRequest
from tidings_events.routing import Headers


def fails_first(times: int, error: Exception):
    def script(_: SendRequest, before: int) -> Exception | None:
        return error if before < times else None

    return script


async def test_a_message_from_any_client_is_sent_recorded_and_acknowledged(rig: Rig) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        id = await rig.publish("email.high", user_id="u-7")
        await rig.reaches(id, "sent")
    assert channel.sent == {id: 1}
    [row] = await rig.fetch("SELECT * FROM notifications WHERE id = $1", id)
    assert (row["priority"], row["user_id"], row["provider"]) == ("high", "u-7", "scripted")
    assert json.loads(row["body"])["recipient"] == "ada@example.com"
    [attempt] = await rig.fetch("SELECT * FROM attempts WHERE notification_id = $1", id)
    assert (attempt["attempt"], attempt["state"], attempt["code"]) == (1, "sent", "250")
    assert await rig.depth("tidings.email.high") == 0
    assert channel.closed


async def test_a_failure_waits_in_its_tier_and_is_tried_again(rig: Rig) -> None:
    channel = ScriptedChannel(
        script=fails_first(2, Unavailable("busy", provider="smtp:x", code="451"))
    )
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "retrying")
        await rig.reaches(id, "sent")
    started = [
        row["started_at"]
        for row in await rig.fetch("SELECT started_at FROM attempts ORDER BY attempt")
    ]
    waits = [(after - before).total_seconds() for before, after in pairwise(started)]
    assert 1.0 <= waits[0] < 1.9
    assert 2.0 <= waits[1] < 2.9
    attempts = await rig.fetch(
        "SELECT attempt, state, kind, code, retry_delay FROM attempts ORDER BY attempt"
    )
    assert [tuple(row.values()) for row in attempts] == [
        (1, "retrying", "unavailable", "451", 1),
        (2, "retrying", "unavailable", "451", 2),
        (3, "sent", None, "250", None),
    ]


async def test_retry_after_picks_the_first_tier_that_is_long_enough(rig: Rig) -> None:
    channel = ScriptedChannel(script=fails_first(1, Throttled("slow down", retry_after=1.5)))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    assert await rig.fetch("SELECT retry_delay FROM attempts WHERE attempt = 1") == [
        {"retry_delay": 2}
    ]


async def test_a_rejected_one_goes_to_the_dead_letters_at_once_with_its_bytes_and_its_reason(
    rig: Rig,
) -> None:
    error = Rejected("no such mailbox", provider="smtp:x", code="550 5.1.1")
    async with rig.working(ScriptedChannel(script=lambda *_: error)):
        id = await rig.publish("email.low")
        dead_letter = await rig.dead_letter()
    [row] = await rig.fetch(
        "SELECT state, reason, failure_code, body FROM notifications WHERE id = $1", id
    )
    assert (row["state"], row["reason"], row["failure_code"]) == ("failed", "rejected", "550 5.1.1")
    assert dead_letter.body == row["body"]
    assert dead_letter.routing_key == "email.low"
    assert dead_letter.headers[Headers.REASON] == "rejected"
    assert dead_letter.headers[Headers.ERROR_MESSAGE] == "no such mailbox"


async def test_when_the_retries_are_used_up_it_is_dead_and_max_retries_wins_over_the_policy(
    rig: Rig,
) -> None:
    channel = ScriptedChannel(script=lambda *_: Unavailable("down"))
    async with rig.working(channel):
        id = await rig.publish(max_retries=1)
        dead_letter = await rig.dead_letter()
    assert dead_letter.headers[Headers.REASON] == "exhausted"
    assert dead_letter.headers[Headers.ATTEMPT] == 2
    assert await rig.state(id) == "failed"
    assert len(channel.requests) == 2


class Refusing(ScriptedChannel):
    """Takes nothing, and keeps no error."""

    async def send(self, request: SendRequest) -> Sent:
        if request.attempt.lane.priority == "low":
            raise Rejected("no such mailbox", provider="smtp:x", code="550 5.1.1")
        raise Unavailable("busy", provider="smtp:x", code="451")


async def test_a_failure_leaves_nothing_for_the_garbage_collector(rig: Rig) -> None:
    async with rig.working(Refusing()):
        with errors_that_hold_themselves(DeliveryError) as left:
            rejected, retried = await rig.publish("email.low"), await rig.publish("email.high")
            await rig.reaches(rejected, "failed")
            await rig.reaches(retried, "retrying")
    assert left == []


async def test_an_exception_nobody_expected_is_tried_again(rig: Rig) -> None:
    channel = ScriptedChannel(script=fails_first(1, ZeroDivisionError("oops")))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    [first] = await rig.fetch("SELECT kind, message FROM attempts WHERE attempt = 1")
    assert first["kind"] == "outcome_unknown"  # the outcome is unknown
    assert "ZeroDivisionError" in str(first["message"])


async def test_what_is_published_twice_is_sent_once(rig: Rig) -> None:
    channel = ScriptedChannel(script=lambda *_: 0.2)
    async with rig.working(channel):
        id = uuid4()
        for _ in range(5):
            await rig.publish(id=str(id))
        await rig.reaches(id, "sent")
        await rig.publish(id=str(id))
        await eventually(lambda: rig_lane_is_empty(rig))
    assert channel.sent == {id: 1}


async def rig_lane_is_empty(rig: Rig) -> bool:
    return await rig.depth("tidings.email.normal") == 0


async def test_a_second_notification_with_the_same_idempotency_key_is_recorded_and_not_sent(
    rig: Rig,
) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        first = await rig.publish(idempotency_key="order-7/shipped")
        await rig.reaches(first, "sent")
        second = await rig.publish(idempotency_key="order-7/shipped")
        await rig.reaches(second, "suppressed")
    assert list(channel.sent) == [first]
    [row] = await rig.fetch("SELECT duplicate_of FROM notifications WHERE id = $1", second)
    assert row["duplicate_of"] == first


async def test_a_malformed_message_is_dead_at_once_and_its_neighbours_go_on(rig: Rig) -> None:
    async with rig.working(ScriptedChannel()):
        await rig.publish(body=b'{"id": 7, \xff')
        id = await rig.publish()
        await rig.reaches(id, "sent")
        dead_letter = await rig.dead_letter()
    assert dead_letter.body == b'{"id": 7, \xff'
    assert dead_letter.headers[Headers.REASON] == "malformed"


async def test_a_forged_header_is_refused_by_name(rig: Rig) -> None:
    async with rig.working(ScriptedChannel()):
        await rig.publish(headers={"x-tidings-attempt": -1})
        dead_letter = await rig.dead_letter()
    assert "x-tidings-attempt: -1" in str(dead_letter.headers[Headers.ERROR_MESSAGE])


async def test_an_epoch_that_no_replay_began_is_refused_and_the_first_delivery_stands(
    rig: Rig,
) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
        await rig.publish(id=str(id), headers={"x-tidings-epoch": 4})
        dead_letter = await rig.dead_letter()
    assert "x-tidings-epoch" in str(dead_letter.headers[Headers.ERROR_MESSAGE])
    assert channel.sent == {id: 1}


async def test_what_is_past_its_time_is_not_sent(rig: Rig) -> None:
    channel = ScriptedChannel()
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    id = uuid4()
    async with rig.working(channel):
        pass  # declares the lanes
    await rig.publish(id=str(id), expires_at=soon.isoformat())
    await eventually(lambda: datetime.now(UTC) > soon)
    async with rig.working(channel):
        dead_letter = await rig.dead_letter()
    assert dead_letter.headers[Headers.REASON] == "expired"
    assert await rig.state(id) == "expired"
    assert not channel.requests


async def test_a_retry_that_would_come_too_late_is_not_waited_for(rig: Rig) -> None:
    channel = ScriptedChannel(script=lambda *_: Unavailable("down"))
    async with rig.working(channel):
        id = await rig.publish(expires_at=(datetime.now(UTC) + timedelta(seconds=0.9)).isoformat())
        dead_letter = await rig.dead_letter(within=2)
    assert dead_letter.headers[Headers.REASON] == "expired"
    assert await rig.state(id) == "expired"
    assert len(channel.requests) == 1


async def test_what_is_scheduled_is_stored_and_published_within_a_second_of_due(rig: Rig) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel), rig.scheduling():
        due = datetime.now(UTC) + timedelta(seconds=2)
        id = await rig.publish(scheduled_at=due.isoformat())
        await rig.reaches(id, "scheduled")
        assert await rig.depth("tidings.email.normal") == 0
        assert not channel.requests
        await rig.reaches(id, "sent")
    [attempt] = await rig.fetch("SELECT started_at FROM attempts WHERE notification_id = $1", id)
    assert due <= attempt["started_at"] < due + timedelta(seconds=1)
    history = await rig.fetch(
        "SELECT after FROM history WHERE notification_id = $1 ORDER BY at, step", id
    )
    assert [row["after"] for row in history] == ["scheduled", "queued", "sending", "sent"]


async def test_at_least_once_sends_again_what_a_lost_reply_left_open(rig: Rig) -> None:
    channel = ScriptedChannel(script=fails_first(1, OutcomeUnknown("no reply after DATA")))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    assert len(channel.requests) == 2


async def test_at_most_once_leaves_it_to_a_person(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_GUARANTEE="at_most_once")
    channel = ScriptedChannel(script=lambda *_: OutcomeUnknown("no reply"))
    async with rig.working(channel):
        id = await rig.publish()
        dead_letter = await rig.dead_letter()
    assert dead_letter.headers[Headers.REASON] == "outcome_unknown"
    assert await rig.state(id) == "unknown"
    assert len(channel.requests) == 1


async def test_what_another_worker_holds_waits_without_spending_an_attempt(rig: Rig) -> None:
    first, second = ScriptedChannel(script=lambda *_: 1.5), ScriptedChannel()
    async with rig.working(first, "first"):
        id = await rig.publish()
        await eventually(lambda: first.requests)
        async with rig.working(second, "second"):
            for _ in range(4):
                await rig.publish(id=str(id))
            await rig.reaches(id, "sent")
            await eventually(rig.drained)
    assert first.sent[id] + second.sent[id] == 1
    assert [row["attempt"] for row in await rig.fetch("SELECT attempt FROM attempts")] == [1]


class Overdue(ScriptedChannel):
    """Outlasts its lease, and fails for good once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def send(self, request: SendRequest) -> Sent:
        self.requests.append(request)
        await self.let.wait()
        raise Rejected("no such mailbox", provider="overdue", code="550")


async def test_who_was_taken_over_leaves_the_rest_to_who_took_over(make_rig) -> None:
    rig = await make_rig(
        TIDINGS_EMAIL_SEND_TIMEOUT="100ms",
        TIDINGS_LEASE_MARGIN="100ms",
        TIDINGS_EMAIL_CONCURRENCY="1",
        TIDINGS_EMAIL_PREFETCH="1",
    )
    overdue, second = Overdue(), ScriptedChannel()
    async with rig.working(overdue, "first"):
        id = await rig.publish()
        await eventually(lambda: overdue.requests)
        async with rig.working(second, "second"):
            await rig.publish(id=str(id))
            await eventually(lambda: second.sent)
            await rig.reaches(id, "sent")
            overdue.let.set()
    await eventually(rig.drained)
    assert await rig.depth(DEAD) == 0
    notes = await rig.fetch("SELECT reason FROM transitions WHERE notification_id = $1", id)
    assert any("another worker had taken over" in str(note["reason"]) for note in notes)
    attempts = await rig.fetch("SELECT attempt, state FROM attempts")
    assert [tuple(row.values()) for row in attempts] == [(1, "sent")]


async def test_a_misconfigured_channel_rests_and_spends_no_attempts(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_PROBE="500ms", TIDINGS_EMAIL_CONCURRENCY="1")
    broken = [Misconfigured("535 wrong password", provider="smtp:x", code="535")] * 3
    channel = ScriptedChannel(script=lambda *_: broken.pop() if broken else None)
    async with rig.working(channel):
        ids = [await rig.publish(max_retries=0) for _ in range(20)]
        await eventually(lambda: len(channel.requests) == 1)
        [row] = await rig.fetch("SELECT count(*) AS sent FROM notifications WHERE state = 'sent'")
        assert row["sent"] == 0
        for id in ids:
            await rig.reaches(id, "sent", within=15)
    attempts = await rig.fetch("SELECT attempt, state FROM attempts")
    assert [tuple(row.values()) for row in attempts] == [(1, "sent")] * 20
    assert len(channel.requests) == 23


async def test_urgent_goes_before_low_and_low_still_moves(make_rig) -> None:
    rig = await make_rig(
        TIDINGS_EMAIL_CONCURRENCY="1", TIDINGS_EMAIL_PREFETCH="100", TIDINGS_EMAIL_LOW_SHARE="0.1"
    )
    channel = ScriptedChannel(script=lambda *_: 0.005)
    async with rig.working(channel):
        pass  # declares the lanes
    for _ in range(50):
        await rig.publish("email.low")
    for _ in range(50):
        await rig.publish("email.urgent")
    async with rig.working(channel):
        await eventually(lambda: len(channel.requests) == 100)
    order = [request.attempt.lane.priority for request in channel.requests]
    urgent = [place for place, priority in enumerate(order) if priority == "urgent"]
    between = order[urgent[0] : urgent[-1]]
    assert 3 <= between.count("low") <= 8  # a tenth of the turns, whatever arrived first


async def test_no_more_are_sent_at_once_than_the_concurrency(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CONCURRENCY="7")
    channel = ScriptedChannel(script=lambda *_: 0.05)
    async with rig.working(channel):
        for _ in range(40):
            await rig.publish()
        await eventually(lambda: len(channel.sent) == 40)
    assert channel.most_at_once == 7


async def test_a_rate_limit_holds_back_what_exceeds_it(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_RATE="10/s")
    channel = ScriptedChannel()
    async with rig.working(channel):
        began = asyncio.get_running_loop().time()
        for _ in range(25):
            await rig.publish()
        await eventually(lambda: len(channel.sent) == 25)
        assert asyncio.get_running_loop().time() - began >= 1.4


async def test_a_bug_of_ours_gives_the_message_back_and_holds_nobody_up(rig: Rig) -> None:
    claims: Counter[UUID] = Counter()

    async def fail_if_cursed(ledger: Ledger, request: ClaimRequest) -> Claim:
        if request.attempt.notification.category == "cursed":
            claims[request.attempt.id] += 1
            raise TypeError("a bug of ours")
        return await ledger.claim(request)

    changed = partial(ChangedLedger, claiming=fail_if_cursed)
    async with rig.working(ScriptedChannel(), changed=changed):
        cursed = await rig.publish(category="cursed")
        fine = await rig.publish()
        await rig.reaches(fine, "sent")
        # again and again, until the lane's delivery limit makes it a dead letter
        await eventually(lambda: claims[cursed] >= 3)
    assert await rig.state(cursed) is None


async def test_the_good_copy_is_sent_though_another_went_astray(rig: Rig) -> None:
    channel = ScriptedChannel()
    async with rig.working(channel), rig.archiving():
        id = await rig.publish("email.hihg")

        async def archived() -> bool:
            return bool(
                await rig.fetch("SELECT 1 FROM dead_letters WHERE notification_id = $1", id)
            )

        await eventually(archived)
        await rig.publish("email.high", id=str(id))
        await rig.reaches(id, "sent")
    assert channel.sent == {id: 1}


async def test_a_send_after_a_lost_reply_is_marked_as_a_possible_duplicate(rig: Rig) -> None:
    channel = ScriptedChannel(script=fails_first(1, OutcomeUnknown("no reply after DATA")))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "sent")
    attempts = await rig.fetch("SELECT possible_duplicate FROM attempts ORDER BY attempt")
    assert [row["possible_duplicate"] for row in attempts] == [False, True]


async def test_at_most_once_never_sends_again_after_a_bug_of_ours(make_rig) -> None:
    rig = await make_rig(TIDINGS_EMAIL_GUARANTEE="at_most_once")
    channel = ScriptedChannel(script=lambda *_: KeyError("after the provider took it"))
    async with rig.working(channel):
        id = await rig.publish()
        await rig.reaches(id, "unknown")
    assert len(channel.requests) == 1


async def test_a_channel_is_not_held_up_by_one_notification_that_looks_like_its_fault(
    make_rig,
) -> None:
    rig = await make_rig(TIDINGS_EMAIL_CIRCUIT_PROBE="200ms", TIDINGS_EMAIL_CONCURRENCY="1")

    def script(request: SendRequest, _: int) -> Exception | None:
        poison = request.notification.category == "poison"
        return Misconfigured("550 relaying denied") if poison else None

    channel = ScriptedChannel(script=script)
    async with rig.working(channel):
        await rig.publish(category="poison")
        await eventually(lambda: channel.requests)
        ids = [await rig.publish() for _ in range(5)]
        for id in ids:
            await rig.reaches(id, "sent", within=20)


async def test_what_a_pause_held_back_too_long_is_not_sent_late(make_rig) -> None:
    rig = await make_rig(
        TIDINGS_EMAIL_CIRCUIT_PROBE="1500ms", TIDINGS_CATEGORIES='{"otp": {"expires_after": "1s"}}'
    )
    channel = ScriptedChannel(script=fails_first(1, Misconfigured("535 wrong password")))
    async with rig.working(channel):
        id = await rig.publish(category="otp")
        await rig.reaches(id, "expired")
    assert not channel.sent
