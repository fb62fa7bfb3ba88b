"""Dead letters go back to their lanes: once, completely, and stopping where they fail again."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.worker_rig import eventually

from tidings.broker.topology.layout import DEAD, lane_queue
from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.attempt import Lane
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Rejected, Unavailable
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings.delivery.ports import SendRequest
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.replay import Begun
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications import outbox_batches
from tidings.operations import dispatching
from tidings.operations.actor import Actor
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.dispatching import DispatchingRequest
from tidings_events.routing import Headers

OPEN = DeadLetterFilter(states=(DeadLetterState.OPEN,))
JANE = Actor("cli", "jane@desk")
NORMAL = lane_queue(Lane("email", "normal"))


async def test_a_replayed_dead_letter_is_delivered_in_a_new_epoch(rig: DeadLetterRig) -> None:
    (dead_letter,) = await rig.archived(written())
    channel = ScriptedChannel()
    async with rig.working(channel):
        summary = await rig.replay(OPEN, Plan(watch=10))
    assert (summary.replayed, summary.outcomes.delivered, summary.well) == (1, 1, True)
    (request,) = channel.requests
    assert (request.attempt.epoch, request.attempt.number) == (1, 1)
    assert await rig.state(request.attempt.id) == "sent"
    (row,) = await rig.dead_letters()
    assert (row["state"], row["replay_epoch"]) == ("replayed", 1)
    assert row["replayed_at"] is not None
    changes = await rig.fetch("SELECT * FROM transitions ORDER BY id")
    assert any(
        change["after"] == "queued" and str(dead_letter) in str(change["reason"])
        for change in changes
    )


async def test_what_is_published_is_what_the_producer_wrote_and_when_it_was_first_seen(
    rig: DeadLetterRig,
) -> None:
    body = written()
    async with rig.archiving():
        await rig.make_dead_letter(body, key="email.high")
        await rig.dead_letters()
    await rig.replay(OPEN)
    queue = await rig._broker.get_queue("tidings.email.high", ensure=False)
    message = await queue.get(no_ack=True)
    (row,) = await rig.fetch("SELECT accepted_at FROM notifications")
    assert message.body == body
    assert message.headers[Headers.EPOCH] == 1
    assert message.headers[Headers.ATTEMPT] == 1
    assert datetime.fromisoformat(str(message.headers[Headers.FIRST_SEEN])) == row["accepted_at"]
    assert not any(name.startswith("x-death") for name in message.headers)


async def test_two_replays_at_once_publish_each_dead_letter_once(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(60)))
    dead_letter, other = await asyncio.gather(rig.replay(OPEN), rig.replay(OPEN))
    assert dead_letter.replayed + other.replayed == 60
    assert (
        dead_letter.taken + other.taken + dead_letter.replayed + other.replayed
        == dead_letter.chosen + other.chosen
    )
    assert not dead_letter.refused
    assert not other.refused
    assert await rig.depth(NORMAL) == 60


async def test_a_replay_that_was_killed_is_finished_by_the_scheduler(rig: DeadLetterRig) -> None:
    """Killed after it wrote down what to publish, before it published anything."""
    dead_letters = await rig.archived(written(), written())
    async with rig.ledger("killed") as ledger:
        expires_at = Policies(rig.settings).expires_at
        begun = await ledger.dead_letters.replays.begin(
            dead_letters, uuid4(), expires_at=expires_at, actor="test"
        )
    assert len(begun.dispatches) == 2
    channel = ScriptedChannel()
    async with rig.scheduling(), rig.working(channel):
        await eventually(lambda: len(channel.sent) == 2)  # seconds later

        async def replayed() -> bool:
            return {row["state"] for row in await rig.dead_letters(2)} == {"replayed"}

        await eventually(replayed)


async def test_a_batch_begun_again_after_its_reply_was_lost_is_still_its_own(
    rig: DeadLetterRig,
) -> None:
    dead_letters = await rig.archived(written(), written())
    run, expires_at = uuid4(), Policies(rig.settings).expires_at
    async with rig.ledger() as ledger:
        first = await ledger.dead_letters.replays.begin(
            dead_letters, run, expires_at=expires_at, actor="test"
        )
        again = await ledger.dead_letters.replays.begin(
            dead_letters, run, expires_at=expires_at, actor="test"
        )
        other = await ledger.dead_letters.replays.begin(
            dead_letters, uuid4(), expires_at=expires_at, actor="test"
        )
    assert len(first.dispatches) == 2
    assert (again.dispatches, again.later, again.not_replayed) == ((), 2, ())
    assert [refusal.taken for refusal in other.not_replayed] == [True, True]


async def test_of_a_batch_that_nobody_publishes_any_more_the_rest_waits_in_the_outbox(
    rig: DeadLetterRig,
) -> None:
    async with rig.ledger("killed") as ledger:
        begun = await _begun(rig, ledger, 3)
        claimed, waits, _ = (entry.id for entry in begun.dispatches)
        replays, batches = ledger.dead_letters.replays, ledger.outbox_batches
        assert await batches.take_over() == 0, "it is held"
        await rig.fetch("UPDATE outbox_batches SET lease_until = now()")
        await rig.fetch("UPDATE notifications SET state = 'sending' WHERE id = $1", claimed)
        assert await batches.take_over() == 2
        assert await batches.take_over() == 0
        await replays.finish()
        assert await _states(rig, claimed) == ["replayed", "replaying", "replaying"]
        # A claim that came before its confirm could be noted.
        await rig.fetch("UPDATE notifications SET dispatch_at = NULL WHERE id = $1", waits)
        await replays.finish()
        assert await _states(rig, claimed) == ["replayed", "replayed", "replaying"]
        assert [entry.id for entry in await ledger.outbox.take(10, actor="s")] == [
            begun.dispatches[2].id
        ]


async def test_a_replay_that_was_cut_off_is_known_to_wait_while_nothing_may_be_published(
    rig: DeadLetterRig,
) -> None:
    async with rig.ledger("killed") as ledger, rig.backend() as backend:
        begun = await _begun(rig, ledger, 1)
        await dispatching.pause(backend, JANE, DispatchingRequest("wrong template"))
        assert [row["state"] for row in await rig.dead_letters()] == ["replayed"]
        await rig.fetch("UPDATE outbox_batches SET lease_until = now()")
        async with rig.scheduling():
            await eventually(lambda: _is(rig, "replaying"))
            assert await rig.depth(NORMAL) == 0
            await dispatching.resume(backend, JANE, DispatchingRequest())
            await eventually(lambda: _is(rig, "replayed"))
        assert await rig.state(begun.dispatches[0].id) == "queued"
        assert await rig.depth(NORMAL) == 1


async def _is(rig: DeadLetterRig, state: str) -> bool:
    return [row["state"] for row in await rig.dead_letters()] == [state]


async def test_a_scheduler_that_sleeps_is_woken_to_look_after_a_replay(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_batches, "LEASE", 0.5)
    async with rig.scheduling(), rig.ledger("killed") as ledger:
        await _begun(rig, ledger, 1)

        async def published() -> bool:
            return await rig.depth(NORMAL) == 1

        await eventually(published)


async def test_of_a_batch_only_what_was_not_confirmed_is_published_again(
    rig: DeadLetterRig,
) -> None:
    async with rig.ledger() as ledger:
        begun = await _begun(rig, ledger, 3)
        assert begun.batch is not None
        left = begun.dispatches[1]
        await ledger.outbox_batches.close(begun.batch, [left])
        assert await ledger.outbox_batches.take_over() == 0
        assert [entry.id for entry in await ledger.outbox.take(10, actor="s")] == [left.id]


async def test_a_batch_is_held_for_as_long_as_it_is_published(rig: DeadLetterRig) -> None:
    async with rig.ledger() as ledger:
        begun = await _begun(rig, ledger, 1)
        assert begun.batch is not None
        await ledger.outbox_batches.keep(begun.batch, 60.0)
        seconds = await ledger.outbox.seconds_to_next()
        assert seconds is not None
        assert 50 < seconds <= 60
        await ledger.outbox_batches.close(begun.batch)
        assert await ledger.outbox.seconds_to_next() is None
        await ledger.outbox_batches.keep(begun.batch)  # too late: nothing is held again
        assert await ledger.outbox.seconds_to_next() is None


async def _begun(rig: DeadLetterRig, ledger: PostgresLedger, count: int) -> Begun:
    """A replay that has not published anything yet."""
    dead_letters = await rig.archived(*(written() for _ in range(count)))
    return await ledger.dead_letters.replays.begin(
        dead_letters, uuid4(), expires_at=Policies(rig.settings).expires_at, actor="test"
    )


async def _states(rig: DeadLetterRig, first: UUID) -> list[str]:
    """Of all dead letters: that of one notification first."""
    rows = sorted(await rig.dead_letters(3), key=lambda row: row["notification_id"] != first)
    return [rows[0]["state"], *sorted(row["state"] for row in rows[1:])]


async def test_a_dead_letter_that_fails_again_becomes_a_dead_letter_of_the_next_epoch(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(written())
    async with rig.archiving(), rig.working(ScriptedChannel(script=_always(Rejected("no")))):
        summary = await rig.replay(OPEN, Plan(watch=10))
        dead_letters = await rig.dead_letters(2)
    assert (summary.outcomes.failed, summary.well) == (1, False)
    assert [(row["state"], row["epoch"]) for row in dead_letters] == [
        ("replayed", 0),
        ("open", 1),
    ]


async def test_a_canary_that_fails_again_stops_the_rest(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(30)))
    channel = ScriptedChannel(script=_always(Rejected("still no")))
    async with rig.working(channel):
        summary = await rig.replay(OPEN, Plan(canary=(2, 10), stop_at=0.2, watch=10))
    assert summary.replayed == 2
    assert summary.left == 28
    assert summary.stopped is not None
    assert "2 of 2 failed again" in summary.stopped
    assert len([row for row in await rig.dead_letters(30) if row["state"] == "open"]) == 28


async def test_a_canary_that_is_only_retried_counts_as_failed_again(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(5)))
    async with rig.working(ScriptedChannel(script=_always(Unavailable("still down")))):
        summary = await rig.replay(OPEN, Plan(canary=(1,), stop_at=0.2, watch=10))
    assert (summary.replayed, summary.left) == (1, 4)
    assert summary.stopped is not None


async def test_a_canary_that_is_well_lets_the_rest_through(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(30)))
    channel = ScriptedChannel()
    async with rig.working(channel):
        summary = await rig.replay(OPEN, Plan(canary=(1, 10), stop_at=0.2, watch=15))
    assert (summary.replayed, summary.outcomes.delivered, summary.stopped) == (30, 30, None)


async def test_a_canary_that_nobody_tries_stops_the_rest_and_asks_for_a_worker(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(*(written() for _ in range(3)))
    summary = await rig.replay(OPEN, Plan(canary=(1,), stop_at=0.2, watch=0.5))
    assert (summary.replayed, summary.left) == (1, 2)
    assert summary.stopped is not None
    assert "worker" in summary.stopped


async def test_failures_past_the_canaries_stop_the_rest_too(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(100)))
    async with rig.working(ScriptedChannel(script=_always(Rejected("no")))):
        summary = await rig.replay(OPEN, Plan(rate=30, stop_at=0.2, watch=5))
    assert summary.stopped is not None
    assert 20 <= summary.replayed < 100


async def test_a_rate_is_kept(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(20)))
    began = asyncio.get_running_loop().time()
    summary = await rig.replay(OPEN, Plan(rate=20, watch=0))
    took = asyncio.get_running_loop().time() - began
    assert summary.replayed == 20
    assert took >= 0.7  # twenty at twenty a second, the first four at once


async def test_what_can_t_be_read_is_refused_and_says_what_is_wrong_with_it(
    rig: DeadLetterRig,
) -> None:
    async with rig.archiving():
        await rig.publish_dead(b"{", {})
        await rig.dead_letters()
    summary = await rig.replay(OPEN)
    (refused,) = summary.refused
    assert refused.refusal is ReplayRefusal.MALFORMED
    assert "is not valid JSON" in refused.message
    assert (await rig.dead_letters())[0]["state"] == "open"


async def test_what_could_not_be_read_then_and_can_be_now_is_replayed(rig: DeadLetterRig) -> None:
    body = written()
    async with rig.archiving():
        await rig.publish_dead(b"{", {})
        (dead_letter,) = await rig.dead_letters()
    await rig.fetch("UPDATE dead_letters SET body = $1", body)  # a newer version reads it
    channel = ScriptedChannel()
    async with rig.working(channel):
        summary = await rig.replay(OPEN, Plan(watch=10))
    assert summary.outcomes.delivered == 1
    assert dead_letter["notification_id"] is None
    assert (await rig.dead_letters())[0]["notification_id"] == channel.requests[0].attempt.id


async def test_a_wrong_routing_key_is_mended_by_replaying(rig: DeadLetterRig) -> None:
    async with rig.archiving():
        id = await rig.publish("emial.high")
        await rig.dead_letters()
    channel = ScriptedChannel()
    async with rig.working(channel):
        await rig.replay(OPEN, Plan(watch=10))
    assert list(channel.sent) == [id]


async def test_a_replayed_dead_letter_is_replayed_again_only_where_forced(
    rig: DeadLetterRig,
) -> None:
    (dead_letter,) = await rig.archived(written())
    channel = ScriptedChannel()
    async with rig.working(channel):
        await rig.replay(DeadLetterFilter(ids=(dead_letter,)), Plan(watch=10))
        again = await rig.replay(DeadLetterFilter(ids=(dead_letter,)), Plan(watch=10))
        assert (again.replayed, again.taken) == (0, 1)
        forced = await rig.replay(DeadLetterFilter(ids=(dead_letter,)), Plan(force=True, watch=10))
    assert (forced.replayed, forced.outcomes.delivered) == (1, 1)
    assert [request.attempt.epoch for request in channel.requests] == [1, 2]


async def test_a_dead_letter_whose_notification_is_still_on_its_way_is_refused_even_where_forced(
    rig: DeadLetterRig,
) -> None:
    (dead_letter,) = await rig.archived(written())
    await rig.replay(DeadLetterFilter(ids=(dead_letter,)))
    forced = await rig.replay(DeadLetterFilter(ids=(dead_letter,)), Plan(force=True, watch=0))
    assert forced.replayed == 0
    assert "queued" in forced.refused[0].message


async def test_two_dead_letters_of_one_notification_are_not_both_replayed(
    rig: DeadLetterRig,
) -> None:
    id = uuid4()
    await rig.archived(written(id, subject="one"), written(id, subject="two"))
    summary = await rig.replay(OPEN)
    assert (summary.replayed, len(summary.refused)) == (1, 1)
    assert await rig.depth(NORMAL) == 1


async def test_a_dead_letter_with_other_content_takes_its_notification_s_place_only_where_forced(
    rig: DeadLetterRig,
) -> None:
    """The same id published again to a wrong key: what is sent is what was stored first."""

    def refuse(_: SendRequest, before: int) -> Exception | None:
        return Rejected("no such user") if before < 2 else None

    channel = ScriptedChannel(script=refuse)
    async with rig.archiving(), rig.working(channel):
        id = await rig.publish(subject="one")
        await rig.reaches(id, "failed")
        await rig.publish("emial.high", id=str(id), subject="two")
        dead_letters = await rig.dead_letters(2)
        (stray,) = (
            dead_letter["id"]
            for dead_letter in dead_letters
            if dead_letter["reason"] == "unroutable"
        )
        for wanted in (OPEN, DeadLetterFilter(reason=Reason.UNROUTABLE)):
            summary = await rig.replay(wanted, Plan(watch=10))
            (refused,) = summary.refused
            assert (str(refused.dead_letter), refused.refusal) == (
                str(stray),
                ReplayRefusal.OTHER_CONTENT,
            )
        assert [request.content.subject for request in channel.requests] == ["one", "one"]
        only = DeadLetterFilter(ids=(UUID(str(stray)),))
        forced = await rig.replay(only, Plan(force=True, watch=10))
    assert forced.outcomes.delivered == 1
    assert [request.content.subject for request in channel.requests] == ["one", "one", "two"]


async def test_a_dead_letter_that_is_only_written_otherwise_is_its_notification_s(
    rig: DeadLetterRig,
) -> None:
    channel = ScriptedChannel(script=lambda _, before: None if before else Rejected("not yet"))
    body = written(uuid4())
    otherwise = json.dumps(dict(reversed(json.loads(body).items())), indent=1).encode()
    async with rig.archiving(), rig.working(channel):
        await rig.publish(body=body)
        await eventually(lambda: channel.requests)
        await rig.dead_letters()
        await rig.publish("emial.high", body=otherwise)
        dead_letters = await rig.dead_letters(2)
        (stray,) = (
            dead_letter["id"]
            for dead_letter in dead_letters
            if dead_letter["reason"] == "unroutable"
        )
        summary = await rig.replay(DeadLetterFilter(ids=(UUID(str(stray)),)), Plan(watch=10))
    assert (list(summary.refused), summary.outcomes.delivered) == ([], 1)


async def test_a_dead_letter_whose_key_another_notification_holds_is_replayed_only_where_forced(
    rig: DeadLetterRig,
) -> None:
    """Published to a wrong key, then rightly under another id: one of the two is enough."""
    channel = ScriptedChannel()
    async with rig.archiving(), rig.working(channel):
        await rig.publish("emial.high", idempotency_key="k1")
        (dead_letter,) = await rig.dead_letters()
        sent = await rig.publish(idempotency_key="k1")
        await rig.reaches(sent, "sent")
        wanted = DeadLetterFilter(ids=(UUID(str(dead_letter["id"])),))
        (refused,) = (await rig.replay(wanted)).refused
        assert str(sent) in refused.message
        forced = await rig.replay(wanted, Plan(force=True, watch=10))
    assert forced.outcomes.delivered == 1


async def test_of_several_given_up_under_one_key_the_first_replayed_stands_for_all(
    rig: DeadLetterRig,
) -> None:
    async with rig.archiving():
        await rig.make_dead_letter(written(uuid4(), idempotency_key="k1"))
        await rig.make_dead_letter(written(uuid4(), idempotency_key="k1"))
        await rig.dead_letters(2)
    summary = await rig.replay(OPEN)
    assert (summary.replayed, len(summary.refused)) == (1, 1)
    assert "has the same idempotency key" in summary.refused[0].message


async def test_what_was_perhaps_delivered_is_left_to_a_person(rig: DeadLetterRig) -> None:
    unknown = Undeliverable(Reason.OUTCOME_UNKNOWN, Failure("outcome_unknown", "reply lost"))
    async with rig.archiving():
        await rig.make_dead_letter(outcome=unknown)
        await rig.make_dead_letter()
        await rig.dead_letters(2)
    async with rig.ledger() as ledger:
        select = ledger.dead_letters.search.select
        bulk = await select(OPEN)
        assert (len(bulk.dead_letters), bulk.uncertain) == (1, 1)
        selection = await select(DeadLetterFilter(reason=Reason.OUTCOME_UNKNOWN))
        assert (len(selection.dead_letters), selection.uncertain) == (1, 0)
        named = await select(DeadLetterFilter(ids=(selection.dead_letters[0].id,)))
        assert len(named.dead_letters) == 1


async def test_what_would_expire_again_is_left_out(rig: DeadLetterRig) -> None:
    expired = Undeliverable(Reason.EXPIRED, Failure("expired", "too late"))
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with rig.archiving():
        await rig.make_dead_letter(outcome=expired)
        await rig.make_dead_letter(written(expires_at=soon))
        await rig.make_dead_letter()
        await rig.dead_letters(3)
    async with rig.ledger() as ledger:

        async def left_out() -> bool:
            selection = await ledger.dead_letters.search.select(OPEN)
            return (len(selection.dead_letters), selection.too_late) == (1, 2)

        await eventually(left_out)
        by_reason = await ledger.dead_letters.search.select(DeadLetterFilter(reason=Reason.EXPIRED))
        assert len(by_reason.dead_letters) == 1


async def test_a_dead_letter_that_is_not_due_yet_waits_for_its_time(rig: DeadLetterRig) -> None:
    due = datetime.now(UTC) + timedelta(seconds=3)
    async with rig.archiving():
        await rig.publish("emial.high", body=written(scheduled_at=due.isoformat()))
        await rig.dead_letters()
    channel = ScriptedChannel()
    async with rig.scheduling(), rig.working(channel):
        summary = await rig.replay(OPEN, Plan(watch=10))
        assert (summary.replayed, summary.later) == (1, 1)
        await eventually(lambda: channel.sent)
        assert datetime.now(UTC) >= due


async def test_dead_letters_without_a_lane_come_back_as_dead_letters(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    async with rig.archiving():
        await rig._broker.queue_delete(NORMAL)
        await rig.replay(OPEN)
        dead_letters = await rig.dead_letters(2)
    assert [(row["reason"], row["state"], row["epoch"]) for row in dead_letters] == [
        ("rejected", "replayed", 0),
        ("unroutable", "open", 1),
    ]
    assert await rig.state(UUID(str(dead_letters[1]["notification_id"]))) == "failed"


async def test_a_broker_that_is_away_leaves_what_was_begun_to_the_scheduler(
    rig: DeadLetterRig,
) -> None:
    (dead_letter,) = await rig.archived(written())
    exchange = await rig._broker.get_exchange("tidings.notifications", ensure=False)
    await exchange.delete()
    summary = await rig.replay(DeadLetterFilter(ids=(dead_letter,)))
    assert summary.stopped is not None
    assert summary.replayed == 1
    (row,) = await rig.fetch("SELECT state, dispatch_at FROM notifications")
    assert row["state"] == "queued"
    assert row["dispatch_at"] is not None
    assert (await rig.dead_letters())[0]["state"] == "replaying"


async def test_thousands_of_dead_letters_take_seconds(rig: DeadLetterRig) -> None:
    count = 3_000
    await _in_the_ledger(rig, count)
    began = asyncio.get_running_loop().time()
    summary = await rig.replay(OPEN)
    took = asyncio.get_running_loop().time() - began
    assert summary.replayed == count
    assert await rig.depth(NORMAL) == count
    assert took < 15


async def _in_the_ledger(rig: DeadLetterRig, count: int) -> None:
    """Dead letters as the archive leaves them, without the way there."""
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(rig.ledger())
        policies = Policies(rig.settings)
        from tidings.broker import dead_letter_headers
        from tidings.delivery.dead_letter import DeadLetter, Origin
        from tidings_events import parse

        now = datetime.now(UTC)
        dead_letters = []
        for _ in range(count):
            body = written()
            notification = parse(body)
            dead_letters.append(
                DeadLetter(
                    id=dead_letter_headers.dead_letter_id(notification.id, 0),
                    reason=Reason.REJECTED,
                    failure=Failure("rejected", "no"),
                    body=body,
                    notification=notification,
                    lane=Lane("email", "normal"),
                    origin=Origin.WORKER,
                    epoch=0,
                    attempt=1,
                    first_seen=now,
                    dead_lettered_at=now,
                    exchange=DEAD,
                    routing_key="email.normal",
                    content_type="application/json",
                    headers={},
                )
            )
        for start in range(0, count, 200):
            some = dead_letters[start : start + 200]
            await ledger.dead_letters.archiving.store(
                [policies.request(dead_letter) for dead_letter in some]
            )


def _always(error: Exception) -> Callable[[SendRequest, int], Exception]:
    return lambda _request, _before: error
