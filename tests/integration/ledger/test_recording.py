"""Step five on PostgreSQL: attempts and states recorded once, whoever comes late or asks twice."""

import asyncio
from datetime import timedelta

import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import (
    BOUNCE,
    FAILURE,
    RETRY,
    LedgerRig,
    record_of,
    request_of,
    settings_of,
)

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import Failure, Outcome, Reason, RetryLater, Sent, Undeliverable
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger

SENT = Sent("smtp:relay", "queued as 4711", "250")


async def claimed(ledger: LedgerRig, token: str = "first", **fields: object) -> Attempt:  # noqa: S107  # a claim's
    attempt = attempt_of(**fields)
    await ledger.claimed(attempt, token)
    return attempt


async def test_what_was_sent_is_recorded_with_who_took_it(ledger: LedgerRig) -> None:
    attempt = await claimed(ledger)
    record = record_of(attempt, "first", SENT, possible_duplicate=True)
    assert await ledger.records.record([record]) == [True]
    row, [tried] = await ledger.row(attempt.id), await ledger.attempts(attempt.id)
    assert row["state"] == tried["state"] == "sent"
    assert (row["provider"], row["reference"]) == ("smtp:relay", "queued as 4711")
    assert (row["lease_holder"], row["lease_until"], row["lapses"]) == (None, None, 0)
    assert row["finished_at"] is not None
    assert (row["reason"], row["failure_kind"], row["failure_message"]) == (None, None, None)
    assert (tried["epoch"], tried["attempt"], tried["worker"]) == (0, 1, "first")
    assert (tried["started_at"], tried["duration_ms"]) == (record.started_at, 20.0)
    assert (tried["code"], tried["possible_duplicate"]) == ("250", True)


async def test_a_retry_is_recorded_with_its_failure_and_its_tier(ledger: LedgerRig) -> None:
    attempt = await claimed(ledger)
    assert await ledger.records.record([record_of(attempt, "first", RETRY)]) == [True]
    row, [tried] = await ledger.row(attempt.id), await ledger.attempts(attempt.id)
    assert row["state"] == tried["state"] == "retrying"
    assert row["finished_at"] is None
    for found in (row["failure_message"], tried["message"]):
        assert found == FAILURE.message
    assert (tried["kind"], tried["code"], tried["retry_delay"]) == ("unavailable", "450 4.2.1", 120)
    assert row["retry_delay"] == 120


@pytest.mark.parametrize("reason", Reason)
async def test_an_end_is_recorded_with_its_reason(ledger: LedgerRig, reason: Reason) -> None:
    attempt = await claimed(ledger)
    outcome = Undeliverable(reason, FAILURE)
    assert await ledger.records.record([record_of(attempt, "first", outcome)]) == [True]
    row = await ledger.row(attempt.id)
    assert (row["state"], row["reason"]) == (reason.state.value, reason.value)
    assert (row["failure_kind"], row["failure_code"]) == ("unavailable", "450 4.2.1")
    assert row["finished_at"] is not None


async def test_each_attempt_is_kept_and_the_notification_tells_of_the_last(
    ledger: LedgerRig,
) -> None:
    attempt = await claimed(ledger)
    await ledger.records.record([record_of(attempt, "first", RETRY)])
    second = Attempt(attempt.notification, attempt.body, attempt.lane, 0, 2, attempt.first_seen)
    await ledger.claimed(second, "second")
    await ledger.records.record([record_of(second, "second", SENT)])
    assert [attempt["state"] for attempt in await ledger.attempts(attempt.id)] == [
        "retrying",
        "sent",
    ]
    row = await ledger.row(attempt.id)
    assert (row["state"], row["failure_message"], row["retry_delay"]) == ("sent", None, None)


@pytest.mark.parametrize("outcome", [SENT, RETRY, BOUNCE])
async def test_recording_twice_is_the_same_as_once(ledger: LedgerRig, outcome: Outcome) -> None:
    attempt = await claimed(ledger)
    record = record_of(attempt, "first", outcome)
    assert await ledger.records.record([record]) == [True]
    before = await ledger.row(attempt.id)
    assert await ledger.records.record([record]) == [True], "the first reply was lost"
    assert await ledger.row(attempt.id) == before
    assert len(await ledger.attempts(attempt.id)) == 1
    assert await ledger.history(attempt.id) == []


# Late ones.


async def test_who_was_taken_over_and_comes_late_changes_nothing_but_the_history(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "late", lease=-1.0)
    await ledger.claimed(attempt, "second")
    assert await ledger.records.record([record_of(attempt, "late", BOUNCE)]) == [False]
    row = await ledger.row(attempt.id)
    assert (row["state"], row["lease_holder"]) == ("sending", "second")
    assert await ledger.attempts(attempt.id) == []
    *_, change = await ledger.history(attempt.id)
    assert change == (
        "sending",
        "sending",
        "attempt 1 ended as failed after its lease had run out and another worker had taken over",
    )
    assert await ledger.records.record([record_of(attempt, "second", SENT)]) == [True]


async def test_who_comes_after_the_other_has_recorded_does_not_overwrite_it(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "late", lease=-1.0)
    await ledger.claimed(attempt, "second")
    await ledger.records.record([record_of(attempt, "second", SENT)])
    before = await ledger.row(attempt.id)
    assert await ledger.records.record([record_of(attempt, "late", RETRY)]) == [False]
    assert await ledger.row(attempt.id) == before
    [tried] = await ledger.attempts(attempt.id)
    assert (tried["worker"], tried["state"]) == ("second", "sent")
    *_, change = await ledger.history(attempt.id)
    assert change[:2] == ("sent", "sent")


@pytest.mark.parametrize("late_first", [True, False])
async def test_the_late_one_and_its_successor_in_one_batch_are_told_apart(
    ledger: LedgerRig, late_first: bool
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "late", lease=-1.0)
    await ledger.claimed(attempt, "second")
    records = [record_of(attempt, "late", BOUNCE), record_of(attempt, "second", SENT)]
    recorded = await ledger.records.record(records if late_first else records[::-1])
    assert recorded == ([False, True] if late_first else [True, False])
    [tried] = await ledger.attempts(attempt.id)
    assert (tried["worker"], tried["state"]) == ("second", "sent")
    assert await ledger.state(attempt.id) is State.SENT


async def test_a_late_earlier_attempt_beside_the_current_one_is_told_apart(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "late", lease=-1.0)
    await ledger.claimed(attempt, "second")
    await ledger.records.record([record_of(attempt, "second", RETRY)])
    third = Attempt(attempt.notification, attempt.body, attempt.lane, 0, 2, attempt.first_seen)
    await ledger.claimed(third, "third")
    records = [record_of(attempt, "late", SENT), record_of(third, "third", SENT)]
    assert await ledger.records.record(records) == [False, True]
    tries = [
        (attempt["attempt"], attempt["worker"]) for attempt in await ledger.attempts(attempt.id)
    ]
    assert tries == [(1, "second"), (2, "third")]


async def test_recording_what_nobody_ever_claimed_records_nothing(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    assert await ledger.records.record([record_of(attempt, "first", SENT)]) == [False]
    assert await ledger.attempts(attempt.id) == []
    assert await ledger.history(attempt.id) == []


async def test_a_batch_has_an_answer_for_each_in_order(ledger: LedgerRig) -> None:
    ours = [await claimed(ledger) for _ in range(5)]
    theirs = [await claimed(ledger, "somebody else") for _ in range(5)]
    mixed = [record for pair in zip(ours, theirs, strict=True) for record in pair]
    records = [record_of(record, "first", SENT) for record in mixed]
    assert await ledger.records.record(records) == [True, False] * 5
    assert {await ledger.state(record.id) for record in theirs} == {State.SENDING}


# What a provider may say.


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("caf\udce9", "caf?"),
        ("Größe 🎉", "Größe 🎉"),
        ("' ; DROP TABLE notifications; --", "' ; DROP TABLE notifications; --"),
        ("", None),
    ],
)
async def test_whatever_a_provider_says_is_recorded(
    ledger: LedgerRig, text: str, kept: str | None
) -> None:
    sent, failed = await claimed(ledger), await claimed(ledger)
    outcomes: list[tuple[Attempt, Outcome]] = [
        (sent, Sent(text, text, text)),
        (failed, RetryLater(Failure("odd", text, text, text), Delay(1), 2)),
    ]
    records = [record_of(attempt, "first", outcome) for attempt, outcome in outcomes]
    assert await ledger.records.record(records) == [True, True]
    [tried] = await ledger.attempts(sent.id)
    assert (tried["provider"], tried["reference"], tried["code"]) == (kept, kept, kept)
    assert (await ledger.row(failed.id))["failure_message"] == kept


# Giving back.


async def test_a_claim_is_given_back_as_if_it_had_never_been_made(ledger: LedgerRig) -> None:
    attempt = await claimed(ledger)
    await ledger.records.release(attempt, "first", "535 wrong pass\x00word")
    row = await ledger.row(attempt.id)
    assert (row["state"], row["attempt"], row["lease_holder"]) == ("queued", 0, None)
    assert await ledger.attempts(attempt.id) == []
    text = "not sent, no attempt spent: 535 wrong pass\N{REPLACEMENT CHARACTER}word"
    assert await ledger.history(attempt.id) == [("sending", "queued", text)]


async def test_giving_back_twice_is_the_same_as_once(ledger: LedgerRig) -> None:
    attempt = await claimed(ledger)
    await ledger.records.release(attempt, "first", "wrong password")
    await ledger.records.release(attempt, "first", "wrong password")
    assert (await ledger.row(attempt.id))["attempt"] == 0
    assert len(await ledger.history(attempt.id)) == 1


async def test_nobody_gives_another_s_claim_back(ledger: LedgerRig) -> None:
    attempt = await claimed(ledger)
    await ledger.records.release(attempt, "second", "wrong password")
    row = await ledger.row(attempt.id)
    assert (row["state"], row["lease_holder"]) == ("sending", "first")


# Together.


async def test_two_workers_recording_crowds_at_once_deadlock_on_nothing(
    ledger: LedgerRig,
) -> None:
    attempts = [attempt_of() for _ in range(400)]
    await ledger.claim(*(request_of(attempt, f"token {attempt.id}") for attempt in attempts))
    records = [record_of(attempt, f"token {attempt.id}", SENT) for attempt in attempts]
    orders = [records, records[::-1], sorted(records, key=lambda attempt: attempt.token)]
    answers = await asyncio.gather(*(ledger.records.record(order) for order in orders))
    assert answers == [[True] * 400] * 3
    found = await ledger.fetch(
        "SELECT count(*) AS n FROM attempts WHERE notification_id = ANY($1)",
        [attempt.id for attempt in attempts],
    )
    assert found == [{"n": 400}]


async def test_claims_and_records_through_the_ledger_meet_in_any_order(
    shared_database_url: str,
) -> None:
    attempts = [attempt_of() for _ in range(200)]

    async with PostgresLedger(settings_of(shared_database_url, batch_size=17), actor="w") as ledger:

        async def see_through(attempt: Attempt) -> bool:
            await ledger.claim(request_of(attempt, f"token {attempt.id}"))
            return await ledger.record(record_of(attempt, f"token {attempt.id}", SENT))

        assert await asyncio.gather(*map(see_through, attempts)) == [True] * 200


async def test_the_history_view_tells_a_life_in_its_order(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    await ledger.claimed(attempt, "gone", lease=-1.0)
    await ledger.claimed(attempt, "second")
    await ledger.records.record([record_of(attempt, "second", RETRY)])
    again = Attempt(attempt.notification, attempt.body, attempt.lane, 0, 2, attempt.first_seen)
    await ledger.claimed(again, "third")
    await ledger.records.record([record_of(again, "third", SENT)])
    rows = await ledger.fetch(
        "SELECT before, after FROM history WHERE notification_id = $1 ORDER BY epoch, step, at",
        attempt.id,
    )
    assert [(row["before"], row["after"]) for row in rows] == [
        (None, "queued"),
        ("sending", "sending"),
        ("queued", "sending"),
        ("sending", "retrying"),
        ("retrying", "sending"),
        ("sending", "sent"),
    ]
    accepted = await ledger.fetch(
        "SELECT at FROM history WHERE notification_id = $1 AND before IS NULL", attempt.id
    )
    assert accepted[0]["at"] - attempt.first_seen == timedelta()
