"""A mail that was not taken alike for all: its recipient decides its state, each copy has a result of its own."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.attempts import NOW, attempt_of

from tidings.delivery.archiving import NotificationStatus, ReplayRefusal, Store, decide, refusal
from tidings.delivery.attempt import Attempt
from tidings.delivery.dead_letter import DeadLetter, DeadLetterState, Origin
from tidings.delivery.delay import Delay
from tidings.delivery.errors import OutcomeUnknown, Rejected, Unavailable
from tidings.delivery.outcome import (
    Failure,
    Reason,
    RetryLater,
    Sent,
    Undeliverable,
)
from tidings.delivery.recipients import RecipientResult, RecipientState, Role, roles
from tidings.delivery.retry_policy import (
    DeliveryPolicy,
    Guarantee,
    RetryPolicy,
    decide_copies,
)
from tidings.delivery.states import State
from tidings.delivery.unknown_outcome import final_outcome

ADA = RecipientResult("ada@example.com", Role.TO, RecipientState.SENT)
BOB = RecipientResult("bob@example.com", Role.CC, RecipientState.SENT)
EVE = RecipientResult("eve@example.com", Role.BCC, RecipientState.SENT)
COPIES: dict[str, Any] = {"cc": [BOB.address], "bcc": [EVE.address]}


def deferred(result: RecipientResult, kind: str = "deferred") -> RecipientResult:
    error = {"kind": kind, "code": "451 4.3.0", "message": "later"}
    return replace(result, state=RecipientState.DEFERRED, **error)  # type: ignore[arg-type]  # texts


def refused(result: RecipientResult) -> RecipientResult:
    error = {"kind": "rejected", "code": "550 5.1.1", "message": "nobody here"}
    return replace(result, state=RecipientState.REFUSED, **error)  # type: ignore[arg-type]  # texts


def policy(guarantee: Guarantee = Guarantee.AT_LEAST_ONCE) -> DeliveryPolicy:
    return DeliveryPolicy(RetryPolicy((Delay(60), Delay(120))), guarantee, 30.0)


def sent(*recipients: RecipientResult) -> Sent:
    return Sent("smtp:relay", "4711", "250", recipients=recipients)


def judged(*recipients: RecipientResult, number: int = 1, earlier: Any = ()) -> Any:
    return policy().decide_sent(sent(*recipients), attempt(number), earlier, NOW)


def attempt(number: int = 1, **fields: Any) -> Attempt:
    return attempt_of(number=number, **{**COPIES, **fields})


def states(failure: Failure) -> dict[str, str]:
    return {result.address: result.state.value for result in failure.recipients}


def test_a_copy_that_is_put_off_is_tried_again_and_the_recipient_is_kept_as_sent() -> None:
    outcome = judged(ADA, deferred(BOB), EVE)

    assert isinstance(outcome, RetryLater)
    assert (outcome.delay, outcome.next_attempt) == (Delay(60), 2)
    assert outcome.failure.message == "sent; 1 of 2 copies deferred: later"
    assert (outcome.failure.code, outcome.failure.reference) == ("451 4.3.0", "4711")
    assert states(outcome.failure)["ada@example.com"] == "sent"


def test_a_copy_that_is_refused_ends_the_mail_as_sent_with_a_dead_letter() -> None:
    outcome = judged(ADA, refused(BOB), EVE)

    assert isinstance(outcome, Undeliverable)
    assert outcome.reason is Reason.COPIES_REFUSED
    assert outcome.reason.state is State.SENT
    assert outcome.failure.message == "sent; 1 of 2 copies refused: nobody here"


def test_a_refused_copy_waits_for_those_that_are_put_off_and_is_named_in_the_end() -> None:
    first = judged(ADA, refused(BOB), deferred(EVE))
    assert isinstance(first, RetryLater)

    second = judged(EVE, number=2, earlier=first.failure.recipients)

    assert isinstance(second, Undeliverable)
    assert second.failure.message == "sent; 1 of 2 copies refused: nobody here"
    assert states(second.failure) == {"eve@example.com": "sent"}


def test_all_copies_sent_in_the_end_is_sent() -> None:
    outcome = judged(EVE, number=2, earlier=(ADA, BOB, deferred(EVE)))

    assert outcome == sent(EVE)


def test_copies_put_off_until_there_are_no_attempts_left_are_given_up() -> None:
    outcome = judged(deferred(EVE), number=3, earlier=(ADA, BOB, deferred(EVE)))

    assert isinstance(outcome, Undeliverable)
    assert outcome.reason is Reason.COPIES_REFUSED
    assert states(outcome.failure) == {"eve@example.com": "given_up"}
    assert outcome.failure.message == "sent; 1 of 2 copies given up: later"


@pytest.mark.parametrize(
    ("guarantee", "state"),
    [(Guarantee.AT_LEAST_ONCE, "deferred"), (Guarantee.AT_MOST_ONCE, "unknown")],
)
def test_a_copy_whose_reply_was_lost_is_sent_again_only_where_that_may_be(
    guarantee: Guarantee, state: str
) -> None:
    lost = deferred(BOB, OutcomeUnknown.kind)
    outcome = policy(guarantee).decide_sent(sent(ADA, lost, EVE), attempt(), (), NOW)

    assert isinstance(outcome, RetryLater | Undeliverable)
    assert states(outcome.failure)["bob@example.com"] == state
    assert outcome.failure.kind == "outcome_unknown"


@pytest.mark.parametrize(
    ("error", "number", "guarantee", "state"),
    [
        (Rejected("spam", code="554"), 2, Guarantee.AT_LEAST_ONCE, "refused"),
        (Unavailable("busy", code="421"), 3, Guarantee.AT_LEAST_ONCE, "given_up"),
        (OutcomeUnknown("lost"), 2, Guarantee.AT_MOST_ONCE, "unknown"),
    ],
)
def test_an_attempt_for_copies_alone_never_makes_a_failure_of_a_mail_that_was_sent(
    error: Exception, number: int, guarantee: Guarantee, state: str
) -> None:
    earlier = (ADA, BOB, deferred(EVE))
    failed = policy(guarantee).decide(error, attempt(number), NOW)

    outcome = decide_copies(failed, attempt(number), earlier)

    assert isinstance(outcome, Undeliverable)
    assert outcome.reason is Reason.COPIES_REFUSED
    assert states(outcome.failure) == {"eve@example.com": state}


def test_a_copy_that_may_have_arrived_is_not_said_to_have_been_given_up() -> None:
    earlier = (ADA, BOB, deferred(EVE))
    doubtful = policy().decide_sent(
        sent(deferred(EVE)), attempt(3), earlier, NOW, perhaps_sent=True
    )
    lost = policy().decide_sent(sent(deferred(EVE, "outcome_unknown")), attempt(3), earlier, NOW)

    denied = policy().decide_sent(sent(refused(EVE)), attempt(2), earlier, NOW, perhaps_sent=True)

    for outcome in (doubtful, lost, denied):
        assert isinstance(outcome, Undeliverable)
        assert states(outcome.failure) == {"eve@example.com": "unknown"}
        assert outcome.failure.message.startswith("sent; 1 of 2 copies perhaps sent: ")
        assert final_outcome(outcome, perhaps_sent=True) is outcome


def test_a_mail_that_everybody_has_is_sent_however_late_its_message_comes() -> None:
    late = Undeliverable(Reason.EXPIRED, Failure("expired", "not delivered before noon"))

    assert decide_copies(late, attempt(), (ADA, BOB, EVE)) == Sent("")


def test_a_recipient_who_has_it_not_yet_is_not_spared() -> None:
    failed = Undeliverable(Reason.REJECTED, Failure("rejected", "nobody here"))
    edited = attempt(2, recipient="grace@example.com")

    assert decide_copies(failed, edited, (ADA, BOB, EVE)) is failed


def test_everybody_has_one_role_and_whom_it_is_for_comes_first() -> None:
    notification = attempt_of(cc=[BOB.address, ADA.address], bcc=[BOB.address]).notification

    assert list(roles(notification).items()) == [(ADA.address, Role.TO), (BOB.address, Role.CC)]


def dead_letter(epoch: int = 0) -> DeadLetter:
    tried = attempt()
    return DeadLetter(
        id=tried.id,
        reason=Reason.COPIES_REFUSED,
        failure=Failure("rejected", "sent; 1 of 2 copies refused: nobody here"),
        body=tried.body,
        notification=tried.notification,
        lane=tried.lane,
        origin=Origin.WORKER,
        epoch=epoch,
        attempt=1,
        first_seen=NOW,
        dead_lettered_at=NOW,
        exchange="",
        routing_key="",
        content_type=None,
        headers={},
    )


SENT_IN_PART = NotificationStatus(State.SENT, 0, 1, reason=Reason.COPIES_REFUSED)


@pytest.mark.parametrize(
    ("status", "state", "becomes"),
    [
        (SENT_IN_PART, DeadLetterState.OPEN, None),
        (replace(SENT_IN_PART, epoch=1), DeadLetterState.DISCARDED, None),
        (replace(SENT_IN_PART, reason=None), DeadLetterState.DISCARDED, None),
        (None, DeadLetterState.OPEN, State.SENT),
    ],
)
def test_the_dead_letter_of_a_copy_waits_for_a_person_and_changes_nothing(
    status: NotificationStatus | None, state: DeadLetterState, becomes: State | None
) -> None:
    decision = decide(dead_letter(), status, NOW)

    assert isinstance(decision, Store)
    assert (decision.state, decision.becomes) == (state, becomes)


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.SENDING])
def test_a_message_for_copies_alone_that_rabbitmq_gave_up_ends_its_mail_as_sent(
    state: State,
) -> None:
    given_up = replace(
        dead_letter(),
        reason=Reason.DELIVERY_LIMIT,
        failure=Failure("broker_delivery_limit", "handed out too often"),
        origin=Origin.LANE,
        attempt=2,
    )

    decision = decide(
        given_up, NotificationStatus(state, 0, 1, reached=True, perhaps_sent=True), NOW
    )

    assert isinstance(decision, Store)
    assert (decision.dead_letter.reason, decision.becomes) == (Reason.COPIES_REFUSED, State.SENT)
    assert decision.dead_letter.failure.message == "sent; copies given up: handed out too often"


def test_what_was_sent_in_part_is_replayed_unforced_and_what_was_sent_is_not() -> None:
    assert refusal(SENT_IN_PART, 0, force=False) is None
    objection = refusal(replace(SENT_IN_PART, reason=None), 0, force=False)
    assert objection is not None
    assert objection.refusal is ReplayRefusal.SENT
    assert refusal(replace(SENT_IN_PART, epoch=1), 0, force=False) is not None
