"""A notification that may have been delivered never ends in a state that denies it: every way to end, tabled."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from tests.support.attempts import NOW, attempt_of

from tidings.delivery.archiving import NotificationStatus, Store, decide
from tidings.delivery.dead_letter import DeadLetter, Origin
from tidings.delivery.delay import Delay
from tidings.delivery.errors import (
    Deferred,
    MalformedNotification,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Failure, Reason, Released, RetryLater, Sent, Undeliverable
from tidings.delivery.retry_policy import DeliveryPolicy, Guarantee, RetryPolicy
from tidings.delivery.states import UNFINISHED, State
from tidings.delivery.unknown_outcome import final_outcome
from tidings.ledger.notifications.dispatch import OutboxEntry
from tidings_events import parse

DENYING = frozenset({State.FAILED, State.EXPIRED})
ERRORS = (
    Rejected("550"),
    Unavailable("450"),
    Deferred("mailbox full"),
    Throttled("slower", retry_after=1.0),
    OutcomeUnknown("no reply"),
    MalformedNotification("no subject"),
    ValueError("ours"),
)
IN_TIME, LATE = NOW, NOW + timedelta(hours=2)


def policy(guarantee: Guarantee) -> DeliveryPolicy:
    return DeliveryPolicy(RetryPolicy((Delay(1),)), guarantee, 10.0, expires_after=3600.0)


def ended(outcome: Sent | RetryLater | Undeliverable) -> State | None:
    match outcome:
        case Sent():
            return State.SENT
        case RetryLater():
            return None
        case Undeliverable(reason=reason):
            return reason.state


@pytest.mark.parametrize("guarantee", list(Guarantee))
@pytest.mark.parametrize("now", [IN_TIME, LATE], ids=["in time", "expired"])
def test_whatever_a_worker_meets_after_a_doubt(guarantee: Guarantee, now: datetime) -> None:
    for error, number in product(ERRORS, (1, 2)):
        attempt, doubtful = attempt_of(number=number), number > 1
        outcome = policy(guarantee).withheld(attempt, now, perhaps_sent=doubtful)
        decided = outcome or policy(guarantee).decide(error, attempt, now)
        assert not isinstance(decided, Released)
        state = ended(final_outcome(decided, perhaps_sent=doubtful))
        lost = isinstance(error, OutcomeUnknown) and outcome is None
        if doubtful or lost:
            assert state not in DENYING, (error, number)
        else:
            assert state is not State.UNKNOWN, (error, number)


def test_doubt_comes_before_the_time_where_nothing_is_sent_twice() -> None:
    withheld = policy(Guarantee.AT_MOST_ONCE).withheld(attempt_of(), LATE, perhaps_sent=True)
    assert withheld is not None
    assert withheld.reason is Reason.OUTCOME_UNKNOWN
    assert "at most once" in withheld.failure.message
    late = policy(Guarantee.AT_LEAST_ONCE).withheld(attempt_of(), LATE, perhaps_sent=True)
    assert late is not None
    assert final_outcome(late, perhaps_sent=True) != late


def test_whatever_the_archive_ends_after_a_doubt() -> None:
    lapsed = NOW - timedelta(seconds=1)
    body = attempt_of().body
    for origin, reason, state, number, reached in product(
        Origin, Reason, sorted(UNFINISHED), (0, 1), (False, True)
    ):
        dead_letter = DeadLetter(
            id=attempt_of().id,
            reason=reason,
            failure=Failure(reason.value, "why"),
            body=body,
            notification=parse(body),
            lane=attempt_of().lane,
            origin=origin,
            epoch=0,
            attempt=1,
            first_seen=NOW,
            dead_lettered_at=NOW,
            exchange="",
            routing_key="email.normal",
            content_type=None,
            headers={},
        )
        status = NotificationStatus(state, 0, number, lapsed, perhaps_sent=True, reached=reached)
        decision = decide(dead_letter, status, NOW)
        assert isinstance(decision, Store)
        assert decision.becomes not in DENYING, (origin, reason, state, number, reached)
        if decision.becomes is not None:
            assert decision.becomes is decision.dead_letter.reason.state


@pytest.mark.parametrize("reason", [None, *Reason])
def test_whatever_the_scheduler_publishes_of_one_that_is_unknown(reason: Reason | None) -> None:
    row = {
        "id": attempt_of().id,
        "channel": "email",
        "priority": "normal",
        "state": "unknown",
        "epoch": 0,
        "attempt": 1,
        "accepted_at": datetime.now(UTC),
        "traceparent": None,
        "body": b"{}",
        "reason": reason and reason.value,
        "late": 0.0,
        "provider": None,
        "failure_kind": None,
        "failure_code": None,
        "failure_message": None,
    }
    end = OutboxEntry.of(row).end
    assert end is not None
    assert end.reason.state not in DENYING
