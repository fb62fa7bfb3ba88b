"""Step three on PostgreSQL: every answer to a claim, alone, repeated, and against the others."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from uuid import UUID, uuid4

import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import (
    FAILURE,
    RETRY,
    WEEK,
    LedgerRig,
    record_of,
    request_of,
    settings_of,
)

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.errors import ConfigurationError, LedgerRefused, LedgerUnavailable
from tidings.delivery.outcome import (
    Claim,
    Claimed,
    DuplicateOf,
    Finished,
    Held,
    NeverIssued,
    Reason,
    RetryLater,
    Scheduled,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.ports import ClaimRequest
from tidings.delivery.states import FINISHED, State
from tidings.ledger import PostgresLedger
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.notifications.idempotency import KeyUse, hold


async def answer(ledger: LedgerRig, request: ClaimRequest) -> Claim:
    [claim] = await ledger.claim(request)
    return claim


def again(attempt: Attempt, number: int = 1, epoch: int = 0) -> Attempt:
    """The same notification, another attempt."""
    return Attempt(
        attempt.notification, attempt.body, attempt.lane, epoch, number, attempt.first_seen
    )


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


# New ones.


async def test_a_new_notification_is_claimed_and_stored_with_all_that_was_said(
    ledger: LedgerRig,
) -> None:
    expires_at = in_an_hour()
    attempt = attempt_of(
        tenant="acme",
        category="receipt",
        user_id="user-1",
        entity={"type": "order", "id": "42"},
        priority="high",
        expires_at=expires_at.isoformat(),
    )
    request = request_of(attempt, "worker a/email/1", lease=30.0, expires_at=expires_at)
    assert await answer(ledger, request) == Claimed(possible_duplicate=False)
    row = await ledger.row(attempt.id)
    lease = row["lease_until"] - row["updated_at"]
    assert (row["state"], row["epoch"], row["attempt"]) == ("sending", 0, 1)
    assert (row["lease_holder"], lease) == ("worker a/email/1", timedelta(seconds=30))
    assert (row["channel"], row["priority"], row["category"]) == ("email", "high", "receipt")
    assert (row["tenant"], row["recipient"]) == ("acme", "ada@example.com")
    assert row["user_id"] == "user-1"
    assert (row["entity_type"], row["entity_id"]) == ("order", "42")
    assert (row["body"], row["expires_at"]) == (attempt.body, expires_at)
    assert row["accepted_at"] == attempt.first_seen


async def test_one_first_seen_in_a_later_attempt_or_epoch_is_claimed_as_that(
    ledger: LedgerRig,
) -> None:
    # The ledger was restored from a backup, or is new: the queues know more than it does.
    attempt = attempt_of(number=3, epoch=2)
    assert await answer(ledger, request_of(attempt)) == Claimed(possible_duplicate=True)
    row = await ledger.row(attempt.id)
    assert (row["epoch"], row["attempt"]) == (2, 3)
    [(before, after, reason)] = await ledger.history(attempt.id)
    assert (before, after) == ("queued", "sending")
    assert reason.startswith("first seen as attempt 3 of epoch 2, from its headers")


@pytest.mark.parametrize(
    ("state", "known", "comes", "doubt"),
    [
        (State.RETRYING, 1, 2, False),
        (State.RETRYING, 1, 3, True),
        (State.QUEUED, 0, 1, False),
        (State.QUEUED, 0, 2, True),
    ],
)
async def test_attempts_that_are_not_known_may_have_been_delivered(
    ledger: LedgerRig, state: State, known: int, comes: int, doubt: bool
) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, state)
    assert (await ledger.row(attempt.id))["attempt"] == known
    request = request_of(again(attempt, comes))
    assert await answer(ledger, request) == Claimed(possible_duplicate=doubt)
    await ledger.records.release(request.attempt, request.token, "the circuit is open")
    assert await answer(ledger, request) == Claimed(possible_duplicate=doubt)


async def test_an_attempt_that_was_given_back_keeps_earlier_ones_waiting_that_were_never_recorded(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    later = request_of(again(attempt, 2))
    assert await answer(ledger, later) == Claimed(possible_duplicate=True)
    await ledger.records.release(later.attempt, later.token, "the circuit is open")
    assert await ledger.state(attempt.id) is State.QUEUED
    assert isinstance(await answer(ledger, request_of(attempt)), Held)
    assert await answer(ledger, later) == Claimed(possible_duplicate=True)


async def test_a_replay_that_is_not_known_begins_anew(ledger: LedgerRig) -> None:
    assert await answer(ledger, request_of(attempt_of(epoch=1))) == Claimed()


async def test_what_is_known_already_is_not_called_first_seen(ledger: LedgerRig) -> None:
    attempt = attempt_of(number=2)
    await ledger.put(again(attempt), State.RETRYING)
    request = request_of(attempt)
    assert await answer(ledger, request) == await answer(ledger, request) == Claimed()
    assert await ledger.history(attempt.id) == []


async def test_answers_come_in_the_order_of_the_requests(ledger: LedgerRig) -> None:
    known, held, new = attempt_of(), attempt_of(), attempt_of()
    await ledger.put(known, State.SENT)
    await ledger.put(held, State.SENDING)
    answers = await ledger.claim(*map(request_of, (held, new, known, held)))
    assert [type(answer) for answer in answers] == [Held, Claimed, Finished, Held]


async def test_an_empty_batch_has_no_answers(ledger: LedgerRig) -> None:
    assert await ledger.claim() == []


# Leases.


async def test_a_live_lease_holds_everybody_else_off(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "first", lease=60.0)
    held = await answer(ledger, request_of(attempt, "second"))
    row = await ledger.row(attempt.id)
    assert held == Held(row["lease_until"])
    assert row["lease_holder"] == "first"


async def test_asked_again_after_a_lost_reply_it_is_still_ours(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    request = request_of(attempt, "first")
    assert await answer(ledger, request) == Claimed()
    assert await answer(ledger, request) == Claimed(possible_duplicate=False)
    assert (await ledger.row(attempt.id))["attempt"] == 1
    assert await ledger.history(attempt.id) == []


async def test_a_lease_that_ran_out_is_taken_over_as_a_possible_duplicate(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    assert await answer(ledger, request_of(attempt, "next")) == Claimed(possible_duplicate=True)
    row = await ledger.row(attempt.id)
    assert (row["lease_holder"], row["lapses"]) == ("next", 1)
    assert await ledger.history(attempt.id) == [
        (
            "sending",
            "sending",
            "the lease of attempt 1 ran out: its worker stopped, and it may have been sent",
        )
    ]


async def test_a_possible_duplicate_stays_one_however_often_it_is_taken_over_or_asked_for(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    second = request_of(attempt, "second", lease=-1.0)
    assert await answer(ledger, second) == Claimed(possible_duplicate=True)
    assert await answer(ledger, second) == Claimed(possible_duplicate=True)
    assert await answer(ledger, request_of(attempt, "third")) == Claimed(possible_duplicate=True)
    assert (await ledger.row(attempt.id))["lapses"] == 2
    assert len(await ledger.history(attempt.id)) == 2  # one for each take-over, none for asking


async def test_every_attempt_after_a_taken_over_one_is_a_possible_duplicate(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    await ledger.claimed(attempt, "next")
    await ledger.records.record([record_of(attempt, "next", RETRY)])
    assert await answer(ledger, request_of(again(attempt, 2))) == Claimed(possible_duplicate=True)


async def test_a_possible_duplicate_stays_one_when_its_claim_is_given_back(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    await ledger.claimed(attempt, "second")
    await ledger.records.release(attempt, "second", "wrong password")
    assert await answer(ledger, request_of(attempt)) == Claimed(possible_duplicate=True)
    lapses = [reason for *_, reason in await ledger.history(attempt.id) if "ran out" in reason]
    assert len(lapses) == 1


async def test_every_attempt_after_a_lost_reply_is_a_possible_duplicate(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    lost = RetryLater(type(FAILURE)("outcome_unknown", "the reply was lost"), Delay(1), 2)
    await ledger.claimed(attempt, "first")
    await ledger.records.record([record_of(attempt, "first", lost)])
    second = again(attempt, 2)
    assert await answer(ledger, request_of(second, "second")) == Claimed(possible_duplicate=True)
    await ledger.records.record([record_of(second, "second", RETRY)])
    assert await answer(ledger, request_of(again(attempt, 3))) == Claimed(possible_duplicate=True)


async def test_a_claim_says_when_the_notification_was_first_seen(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    later = Attempt(attempt.notification, attempt.body, attempt.lane, 0, 1, datetime.now(UTC))
    claim = await answer(ledger, request_of(later))
    assert isinstance(claim, Claimed)
    assert claim.accepted_at == attempt.first_seen


async def test_an_earlier_attempt_does_not_take_over_a_later_one(ledger: LedgerRig) -> None:
    attempt = attempt_of(number=2)
    await ledger.claimed(attempt, "gone", lease=-1.0)
    assert await answer(ledger, request_of(again(attempt, 1))) == Finished(State.SENDING)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_claim_that_was_given_back_is_claimed_as_if_it_had_never_been(
    ledger: LedgerRig, number: int
) -> None:
    attempt = attempt_of(number=number)
    if number > 1:
        await ledger.put(again(attempt), State.RETRYING)
    await ledger.claimed(attempt, "first")
    await ledger.records.release(attempt, "first", "wrong password")
    assert await answer(ledger, request_of(attempt, "second")) == Claimed()
    row = await ledger.row(attempt.id)
    assert (row["state"], row["attempt"], row["lease_holder"]) == ("sending", number, "second")


# What has moved on.


@pytest.mark.parametrize("state", sorted(FINISHED - {State.FAILED, State.EXPIRED, State.UNKNOWN}))
async def test_what_is_finished_has_nothing_left_to_do(ledger: LedgerRig, state: State) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, state)
    assert await answer(ledger, request_of(attempt)) == Finished(state)


@pytest.mark.parametrize("state", State)
async def test_an_attempt_before_the_one_that_is_known_is_over(
    ledger: LedgerRig, state: State
) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, state)
    await ledger.execute("UPDATE notifications SET attempt = 2 WHERE id = $1", attempt.id)
    assert await answer(ledger, request_of(attempt)) == Finished(state)
    assert await ledger.state(attempt.id) is state


@pytest.mark.parametrize("state", State)
async def test_an_epoch_before_the_one_that_is_known_is_over(
    ledger: LedgerRig, state: State
) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, state)
    await ledger.execute("UPDATE notifications SET epoch = 1 WHERE id = $1", attempt.id)
    assert await answer(ledger, request_of(again(attempt, 9))) == Finished(state)
    assert await ledger.state(attempt.id) is state


@pytest.mark.parametrize("state", State)
async def test_an_epoch_that_no_replay_began_is_refused(ledger: LedgerRig, state: State) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, state)
    assert await answer(ledger, request_of(again(attempt, epoch=1))) == NeverIssued(1)
    assert await ledger.state(attempt.id) is state


async def test_a_retry_that_was_recorded_and_perhaps_not_passed_on_is_told_again(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "first")
    await ledger.records.record([record_of(attempt, "first", RETRY)])
    assert await answer(ledger, request_of(attempt)) == Unsettled(
        RetryLater(FAILURE, Delay(120), 2)
    )


@pytest.mark.parametrize(
    "reason", [Reason.REJECTED, Reason.EXHAUSTED, Reason.EXPIRED, Reason.OUTCOME_UNKNOWN]
)
async def test_an_end_that_was_recorded_and_perhaps_not_passed_on_is_told_again(
    ledger: LedgerRig, reason: Reason
) -> None:
    attempt, outcome = attempt_of(), Undeliverable(reason, FAILURE)
    await ledger.claimed(attempt, "first")
    await ledger.records.record([record_of(attempt, "first", outcome)])
    assert await answer(ledger, request_of(attempt)) == Unsettled(outcome)


async def test_an_end_by_a_rule_of_ours_is_told_again_without_provider_or_code(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    outcome = Undeliverable(Reason.EXPIRED, type(FAILURE)("expired", "too late"))
    await ledger.claimed(attempt, "first")
    await ledger.records.record([record_of(attempt, "first", outcome)])
    assert await answer(ledger, request_of(attempt)) == Unsettled(outcome)


async def test_what_is_queued_for_its_next_epoch_is_claimed_in_it(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    await ledger.put(attempt, State.QUEUED)
    await ledger.execute("UPDATE notifications SET epoch = 1 WHERE id = $1", attempt.id)
    assert await answer(ledger, request_of(again(attempt, epoch=1))) == Claimed()
    assert (await ledger.row(attempt.id))["dispatch_at"] is None


# Scheduled ones.


async def test_what_is_not_due_is_stored_and_not_sent(ledger: LedgerRig) -> None:
    due = in_an_hour()
    attempt = attempt_of(scheduled_at=due.isoformat())
    assert await answer(ledger, request_of(attempt)) == Scheduled(due)
    row = await ledger.row(attempt.id)
    assert (row["state"], row["attempt"], row["dispatch_at"]) == ("scheduled", 0, due)


async def test_storing_wakes_the_schedulers(ledger: LedgerRig) -> None:
    wake = asyncio.Event()
    async with ledger.database.listening("tidings_due", wake), asyncio.timeout(5):
        await answer(ledger, request_of(attempt_of(scheduled_at=in_an_hour().isoformat())))
        await wake.wait()


async def test_what_is_stored_already_is_not_stored_or_sent_again(ledger: LedgerRig) -> None:
    attempt = attempt_of(scheduled_at=in_an_hour().isoformat())
    await answer(ledger, request_of(attempt))
    assert await answer(ledger, request_of(attempt)) == Finished(State.SCHEDULED)
    assert await ledger.state(attempt.id) is State.SCHEDULED


async def test_what_was_due_in_the_past_is_claimed(ledger: LedgerRig) -> None:
    attempt = attempt_of(scheduled_at="2026-01-01T00:00:00Z")
    assert await answer(ledger, request_of(attempt)) == Claimed()


async def test_what_was_dispatched_is_sent_whatever_our_clock_says(ledger: LedgerRig) -> None:
    attempt = attempt_of(scheduled_at=in_an_hour().isoformat())
    await answer(ledger, request_of(attempt))
    await ledger.execute("UPDATE notifications SET state = 'queued' WHERE id = $1", attempt.id)
    assert await answer(ledger, request_of(attempt)) == Claimed()


@pytest.mark.parametrize(("number", "epoch"), [(2, 0), (1, 1)])
async def test_only_a_first_sight_is_scheduled(ledger: LedgerRig, number: int, epoch: int) -> None:
    attempt = attempt_of(scheduled_at=in_an_hour().isoformat(), number=number, epoch=epoch)
    assert isinstance(await answer(ledger, request_of(attempt)), Claimed)


# Idempotency keys.


UNSENT = {State.FAILED, State.EXPIRED, State.CANCELLED, State.DISCARDED, State.SUPPRESSED}


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"order-{uuid4()}"


def keyed(key: str, **fields: object) -> Attempt:
    return attempt_of(idempotency_key=key, **fields)


async def test_a_second_notification_with_the_key_is_a_duplicate_of_the_first(
    ledger: LedgerRig, key: str
) -> None:
    first, second = keyed(key), keyed(key)
    assert await answer(ledger, request_of(first)) == Claimed()
    assert await answer(ledger, request_of(second)) == DuplicateOf(first.id)
    row = await ledger.row(second.id)
    assert (row["state"], row["duplicate_of"]) == ("suppressed", first.id)
    assert row["finished_at"] is not None
    assert await ledger.history(second.id) == [
        ("queued", "suppressed", f"same idempotency key as {first.id}")
    ]


async def test_a_key_is_its_tenant_s_alone(ledger: LedgerRig, key: str) -> None:
    first, of_acme, again = keyed(key), keyed(key, tenant="acme"), keyed(key, tenant="acme")
    for attempt in (first, of_acme):
        assert await answer(ledger, request_of(attempt)) == Claimed()
    assert await answer(ledger, request_of(again)) == DuplicateOf(of_acme.id)
    found = await ledger.fetch("SELECT tenant FROM idempotency_holders WHERE key = $1", key)
    assert sorted(row["tenant"] for row in found) == ["acme", "default"]


async def test_of_a_batch_with_one_key_the_first_that_came_is_the_first(
    ledger: LedgerRig, key: str
) -> None:
    start = uuid4().int & ~0xF
    attempts = [keyed(key, id=UUID(int=start + number)) for number in (3, 1, 2)]
    answers = await ledger.claim(*map(request_of, attempts))
    assert answers == [Claimed(), *[DuplicateOf(UUID(int=start + 3))] * 2]


async def test_keys_are_told_apart_and_those_without_are_none_s_duplicate(
    ledger: LedgerRig, key: str
) -> None:
    attempts = [keyed(key), keyed(f"{key} b"), attempt_of(), attempt_of(), keyed(key)]
    answers = await ledger.claim(*map(request_of, attempts))
    assert answers == [Claimed()] * 4 + [DuplicateOf(attempts[0].id)]


async def test_the_first_keeps_its_key_through_retries(ledger: LedgerRig, key: str) -> None:
    first = keyed(key)
    await ledger.claimed(first, "first")
    await ledger.records.record([record_of(first, "first", RETRY)])
    assert await answer(ledger, request_of(again(first, 2))) == Claimed()
    assert await answer(ledger, request_of(keyed(key))) == DuplicateOf(first.id)


async def test_a_duplicate_that_is_delivered_again_is_finished(ledger: LedgerRig, key: str) -> None:
    second = keyed(key)
    await ledger.claim(request_of(keyed(key)), request_of(second))
    assert await answer(ledger, request_of(second)) == Finished(State.SUPPRESSED)
    assert len(await ledger.history(second.id)) == 1


async def test_after_the_window_the_key_is_free_again(ledger: LedgerRig, key: str) -> None:
    short = ledger.claims(window=-1.0)
    first, second, third = keyed(key), keyed(key), keyed(key)
    await short.claim([request_of(first)])
    assert await answer(ledger, request_of(second)) == Claimed()
    assert await answer(ledger, request_of(third)) == DuplicateOf(second.id)


@pytest.mark.parametrize(("number", "epoch"), [(2, 0), (1, 1)])
async def test_the_first_s_retry_or_replay_after_the_window_is_no_duplicate_of_its_successor(
    ledger: LedgerRig, number: int, epoch: int, key: str
) -> None:
    first, second = keyed(key), keyed(key)
    await ledger.claims(window=-1.0).claim([request_of(first, "first")])
    await ledger.records.record([record_of(first, "first", RETRY)])
    assert await answer(ledger, request_of(second)) == Claimed()
    if epoch:
        await ledger.execute(
            "UPDATE notifications SET state = 'queued', epoch = 1, attempt = 0 WHERE id = $1",
            first.id,
        )
    assert await answer(ledger, request_of(again(first, number, epoch))) == Claimed()
    assert await ledger.state(first.id) is State.SENDING


async def test_a_scheduled_one_holds_its_key_from_when_it_was_accepted(
    ledger: LedgerRig, key: str
) -> None:
    due = in_an_hour()
    first = keyed(key, scheduled_at=due.isoformat())
    answers = await ledger.claim(request_of(first), request_of(keyed(key)))
    assert answers == [Scheduled(due), DuplicateOf(first.id)]


async def test_workers_with_the_same_keys_agree_on_who_is_first(
    ledger_alone: LedgerRig,
) -> None:
    ledger = ledger_alone
    groups = [[keyed(f"key-{number}") for number in range(50)] for _ in range(4)]
    for group in groups:
        random.shuffle(group)
    batches = await asyncio.gather(
        *(
            ledger.claim(*map(request_of, group), worker=f"worker {n}")
            for n, group in enumerate(groups)
        )
    )
    winners = Counter(
        attempt.notification.idempotency_key
        for group, answers in zip(groups, batches, strict=True)
        for attempt, claim in zip(group, answers, strict=True)
        if isinstance(claim, Claimed)
    )
    assert winners == Counter(f"key-{number}" for number in range(50))
    rows = await ledger.fetch("SELECT state, count(*) AS n FROM notifications GROUP BY 1")
    assert {row["state"]: row["n"] for row in rows} == {"sending": 50, "suppressed": 150}


@pytest.mark.parametrize(
    "ended", [State.FAILED, State.EXPIRED, State.CANCELLED, State.DISCARDED, State.SUPPRESSED]
)
async def test_a_key_is_free_again_once_its_holder_ended_without_being_sent(
    ledger: LedgerRig, key: str, ended: State
) -> None:
    first, second, third = keyed(key), keyed(key), keyed(key)
    await ledger.put(first, ended)
    assert await answer(ledger, request_of(second)) == Claimed()
    assert await answer(ledger, request_of(third)) == DuplicateOf(second.id)


@pytest.mark.parametrize("state", sorted(set(State) - UNSENT))
async def test_a_key_is_not_free_while_its_holder_is_under_way_or_may_have_arrived(
    ledger: LedgerRig, key: str, state: State
) -> None:
    first = keyed(key)
    await ledger.put(first, state)
    assert await answer(ledger, request_of(keyed(key))) == DuplicateOf(first.id)


@pytest.mark.parametrize("ended", [State.CANCELLED, State.DISCARDED])
async def test_a_key_stays_with_a_holder_that_was_given_up_and_may_have_arrived(
    ledger: LedgerRig, key: str, ended: State
) -> None:
    first = keyed(key)
    await ledger.put(first, ended)
    await ledger.execute("UPDATE notifications SET perhaps_sent = true WHERE id = $1", first.id)
    assert await answer(ledger, request_of(keyed(key))) == DuplicateOf(first.id)


async def test_a_key_stays_with_a_holder_that_may_have_arrived_in_an_earlier_epoch(
    ledger: LedgerRig, key: str
) -> None:
    first = keyed(key)
    await ledger.put(first, State.FAILED)
    await ledger.execute(
        "INSERT INTO transitions (notification_id, epoch, before, after, actor, reason) "
        "VALUES ($1, 1, 'unknown', 'queued', 'a person', 'replayed from dead letter x')",
        first.id,
    )
    assert await answer(ledger, request_of(keyed(key))) == DuplicateOf(first.id)


async def test_a_key_means_something_to_one_recipient_of_one_channel(
    ledger: LedgerRig, key: str
) -> None:
    first, other = keyed(key), keyed(key, recipient="grace@example.com")
    note = {"subject": None, "body": None, "event_type": "a.b", "payload": {}}
    hook = keyed(key, channel="webhook", recipient="https://example.com/ada", **note)
    answers = await ledger.claim(*map(request_of, (first, other, hook, keyed(key))))
    assert answers == [Claimed()] * 3 + [DuplicateOf(first.id)]


async def test_of_many_that_find_a_key_free_at_once_one_gets_it(
    ledger: LedgerRig, key: str
) -> None:
    first = keyed(key)
    await ledger.put(first, State.FAILED)
    others = [keyed(key) for _ in range(8)]
    answers = await asyncio.gather(*(ledger.claim(request_of(other)) for other in others))
    assert [attempt for (attempt,) in answers].count(Claimed()) == 1


async def test_a_key_is_not_taken_from_a_holder_that_is_being_replayed(
    ledger: LedgerRig, key: str
) -> None:
    first, second = keyed(key), keyed(key)
    await ledger.put(first, State.FAILED)
    async with ledger.database.transaction() as replay:
        use = KeyUse.of(first.notification)
        assert use is not None
        await hold(replay, [use], WEEK)
        claiming = asyncio.ensure_future(ledger.claim(request_of(second)))
        await until_somebody_waits(ledger)
        await replay.execute(
            "UPDATE notifications SET state = 'queued', epoch = 1, attempt = 0 WHERE id = $1",
            first.id,
        )
    assert await claiming == [DuplicateOf(first.id)]


async def until_somebody_waits(ledger: LedgerRig) -> None:
    """For a lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while not await ledger.fetch(waiting):
            await asyncio.sleep(0.01)


# Repeats and crowds.


async def test_the_same_notification_twice_in_a_batch_is_claimed_once(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    first, second = await ledger.claim(request_of(attempt, "one"), request_of(attempt, "two"))
    assert first == Claimed()
    assert isinstance(second, Held)


async def test_repeats_of_every_kind_in_a_batch_have_their_own_answers(
    ledger: LedgerRig, key: str
) -> None:
    due = in_an_hour()
    plain, scheduled, key = attempt_of(), attempt_of(scheduled_at=due.isoformat()), keyed(key)
    batch = [plain, scheduled, key] * 3
    answers = await ledger.claim(*map(request_of, batch))
    assert answers[:3] == [Claimed(), Scheduled(due), Claimed()]
    assert [type(answer) for answer in answers[3:]] == [Held, Finished, Held] * 2


def chunks(items: Sequence[Attempt], size: int) -> list[Sequence[Attempt]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


async def test_two_workers_claiming_the_same_two_thousand_share_them_without_a_deadlock(
    ledger: LedgerRig,
) -> None:
    attempts = [attempt_of() for _ in range(2000)]

    async def work(worker: str) -> list[UUID]:
        mine, shuffled = [], random.sample(attempts, len(attempts))
        for chunk in chunks(shuffled, 200):
            answers = await ledger.claim(*map(request_of, chunk), worker=worker)
            pairs = zip(chunk, answers, strict=True)
            mine += [attempt.id for attempt, claim in pairs if isinstance(claim, Claimed)]
        return mine

    by_a, by_b = await asyncio.gather(work("worker a"), work("worker b"))
    assert Counter(by_a + by_b) == Counter(attempt.id for attempt in attempts)


async def test_expired_leases_of_a_crowd_are_taken_over_once_each(ledger: LedgerRig) -> None:
    attempts = [attempt_of() for _ in range(300)]
    await ledger.claim(*(request_of(attempt, lease=-1.0) for attempt in attempts))
    batches = await asyncio.gather(
        *(ledger.claim(*map(request_of, random.sample(attempts, 300))) for _ in range(4))
    )
    taken = [claim for batch in batches for claim in batch if isinstance(claim, Claimed)]
    assert taken == [Claimed(possible_duplicate=True)] * 300


async def test_through_the_ledger_many_callers_share_statements(shared_database_url: str) -> None:
    attempts = [attempt_of() for _ in range(500)]
    ids = [attempt.id for attempt in attempts]
    async with PostgresLedger(settings_of(shared_database_url), actor="worker a") as ledger:
        answers = await asyncio.gather(*(ledger.claim(request_of(attempt)) for attempt in attempts))
        async with ledger.database.connection() as connection:
            moments = await connection.fetchval(
                "SELECT count(DISTINCT updated_at) FROM notifications WHERE id = ANY($1)", ids
            )
    assert answers == [Claimed()] * 500
    assert moments < 20


# Where PostgreSQL is not as it should be.


async def test_a_database_that_is_away_is_unavailable(unused_tcp_port: int) -> None:
    url = f"postgresql://tidings:secret@127.0.0.1:{unused_tcp_port}/tidings"
    async with PostgresLedger(settings_of(url), actor="worker a") as ledger:
        with pytest.raises(LedgerUnavailable) as caught:
            await ledger.claim(request_of(attempt_of()))
    assert "secret" not in str(caught.value)


async def test_a_database_without_tables_says_what_to_do(empty_database_url: str) -> None:
    async with PostgresLedger(settings_of(empty_database_url), actor="worker a") as ledger:
        with pytest.raises(ConfigurationError, match=r"notifications.*does not exist.*doctor"):
            await ledger.claim(request_of(attempt_of()))


async def test_a_statement_that_takes_too_long_is_unavailable(
    ledger: LedgerRig, shared_database_url: str
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, lease=-1.0)
    settings = settings_of(shared_database_url, database_timeout=0.3)
    async with ledger.database.transaction() as blocking, PostgresDatabase(settings) as database:
        await blocking.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", attempt.id)
        with pytest.raises(LedgerUnavailable, match="no answer in time"):
            await LedgerRig(database).claim(request_of(attempt, "another"))
    assert (await ledger.row(attempt.id))["lease_holder"] != "another"


async def test_a_poisoned_request_fails_alone(shared_database_url: str) -> None:
    poison = Attempt(
        attempt_of().notification, b"", attempt_of().lane, 0, 1, datetime.now(UTC), "\x00"
    )
    fine = [attempt_of() for _ in range(5)]
    async with PostgresLedger(settings_of(shared_database_url), actor="worker a") as ledger:
        answers = await asyncio.gather(
            *(ledger.claim(request_of(attempt)) for attempt in [*fine, poison]),
            return_exceptions=True,
        )
    assert answers[:-1] == [Claimed()] * 5
    assert isinstance(answers[-1], LedgerRefused)


@pytest.mark.parametrize("query", ["SELECT $1::int", "SELECT $1::text::uuid"])
async def test_a_refused_value_stands_in_no_traceback(ledger: LedgerRig, query: str) -> None:
    who = "@".join(("grace", "example.org"))
    with pytest.raises(LedgerRefused, match="invalid input") as caught:
        async with ledger.database.transaction() as connection:
            await connection.fetch(query, who)
    assert who not in "".join(format_exception(caught.value))


async def test_a_claim_whose_worker_was_cancelled_meanwhile_is_given_back(
    ledger: LedgerRig, shared_database_url: str
) -> None:
    attempt, blocked = attempt_of(), attempt_of()
    await ledger.claimed(blocked, lease=-1.0)
    async with PostgresLedger(settings_of(shared_database_url), actor="worker a") as worker:
        async with ledger.database.transaction() as blocking:
            await blocking.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", blocked.id)
            tasks = [
                asyncio.ensure_future(worker.claim(request_of(attempt)))
                for attempt in (attempt, blocked)
            ]
            await waits_for_a_lock(ledger)
            tasks[0].cancel()
        assert await tasks[1] == Claimed(possible_duplicate=True)
    row = await ledger.row(attempt.id)
    assert (row["state"], row["attempt"], row["lease_holder"]) == ("queued", 0, None)


async def waits_for_a_lock(ledger: LedgerRig) -> None:
    async with asyncio.timeout(10):
        while True:
            [row] = await ledger.fetch("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")
            if row["n"]:
                return
            await asyncio.sleep(0.01)
