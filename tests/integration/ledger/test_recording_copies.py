"""What became of each recipient, where a mail was not taken alike for all: kept, and known to the next claim."""

from dataclasses import replace
from typing import Any

from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig, record_of, request_of

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import (
    Claimed,
    Failure,
    Reason,
    RetryLater,
    Sent,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.recipients import RecipientResult, RecipientState, Role
from tidings.ledger.notifications.requeue import Requeues

ADA = RecipientResult("ada@example.com", Role.TO, RecipientState.SENT)
LATER = RecipientResult(
    "bob@example.com", Role.CC, RecipientState.DEFERRED, "deferred", "451", "later"
)
GOT_IT = RecipientResult("bob@example.com", Role.CC, RecipientState.SENT)


def deferred(*results: RecipientResult) -> RetryLater:
    failure = Failure("deferred", "sent; 1 of 1 copies deferred: later", "smtp:relay", "451")
    return RetryLater(replace(failure, reference="4711", recipients=results), Delay(1), 2)


async def sent_in_part(ledger: LedgerRig, **fields: Any) -> Attempt:
    attempt = attempt_of(cc=["bob@example.com"], **fields)
    await ledger.claimed(attempt)
    record = record_of(attempt, "holder", deferred(ADA, LATER))
    assert await ledger.records.record([record]) == [True]
    return attempt


async def test_the_next_attempt_is_told_who_has_it_and_who_is_still_to_be_asked(
    ledger: LedgerRig,
) -> None:
    attempt = await sent_in_part(ledger)

    [claim] = await ledger.claim(request_of(replace(attempt, number=2)))

    assert isinstance(claim, Claimed)
    assert set(claim.recipients) == {ADA, LATER}


async def test_whoever_takes_over_from_a_worker_that_vanished_asks_for_the_same_copies(
    ledger: LedgerRig,
) -> None:
    attempt = await sent_in_part(ledger)
    second = replace(attempt, number=2)
    await ledger.claim(request_of(second, "vanished", lease=-1.0))

    [claim] = await ledger.claim(request_of(second, "another"))

    assert isinstance(claim, Claimed)
    assert claim.possible_duplicate
    assert set(claim.recipients) == {ADA, LATER}


async def test_a_mail_without_copies_or_taken_at_once_is_told_nothing(ledger: LedgerRig) -> None:
    attempt = attempt_of()
    [claim] = await ledger.claim(request_of(attempt))

    assert isinstance(claim, Claimed)
    assert claim.recipients == ()


async def test_a_result_is_replaced_by_a_later_one_and_never_by_an_earlier_one(
    ledger: LedgerRig,
) -> None:
    attempt = await sent_in_part(ledger)
    second = replace(attempt, number=2)
    await ledger.claim(request_of(second, "second"))
    await ledger.records.record([record_of(second, "second", Sent("smtp:b", "", "250"))])
    third = [record_of(attempt, "holder", deferred(ADA, LATER))]  # its reply had been lost

    assert await ledger.records.record(third) == [True]
    rows = await ledger.fetch(
        "SELECT address, state, attempt FROM recipient_results WHERE notification_id = $1",
        attempt.id,
    )
    assert {(row["address"], row["attempt"]) for row in rows} == {
        ("ada@example.com", 1),
        ("bob@example.com", 1),
    }


async def test_who_took_the_mail_stays_named_when_another_takes_a_copy(ledger: LedgerRig) -> None:
    attempt = await sent_in_part(ledger)
    second = replace(attempt, number=2)
    await ledger.claim(request_of(second, "second"))
    taken = Sent("smtp:backup", "9999", "250", recipients=(GOT_IT,))
    await ledger.records.record([record_of(second, "second", taken)])

    row = await ledger.row(attempt.id)
    assert (row["state"], row["provider"], row["reference"]) == ("sent", "smtp:relay", "4711")
    first, last = await ledger.attempts(attempt.id)
    assert (first["reference"], last["reference"]) == ("4711", "9999")


async def test_a_worker_that_died_before_the_dead_letter_went_out_leaves_it_to_the_next(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of(cc=["bob@example.com"])
    await ledger.claimed(attempt)
    failure = Failure("rejected", "sent; 1 of 1 copies refused: nobody", "smtp:relay", "550")
    outcome = Undeliverable(Reason.COPIES_REFUSED, failure)
    await ledger.records.record([record_of(attempt, "holder", outcome)])

    assert await ledger.state(attempt.id) == "sent"
    assert await ledger.claim(request_of(attempt)) == [Unsettled(outcome)]


async def test_a_copys_dead_letter_that_never_arrived_is_published_again(
    ledger: LedgerRig,
) -> None:
    attempt = attempt_of(cc=["bob@example.com"])
    await ledger.claimed(attempt)
    failure = Failure("rejected", "sent; 1 of 1 copies refused: nobody", "smtp:relay", "550")
    outcome = Undeliverable(Reason.COPIES_REFUSED, failure)
    await ledger.records.record([record_of(attempt, "holder", outcome)])
    await ledger.execute(
        "UPDATE notifications SET updated_at = now() - interval '1 hour' WHERE id = $1", attempt.id
    )
    requeues = Requeues(ledger.database, after=60.0)

    found = await requeues.find(0, await requeues.pages(), {}, 600.0, 1_000)
    await requeues.requeue(
        [result for result in found if result.id == attempt.id], actor="scheduler"
    )
    taken = await ledger.outbox.take(1_000, actor="scheduler")

    [dispatch] = [entry for entry in taken if entry.id == attempt.id]
    assert dispatch.end == outcome
