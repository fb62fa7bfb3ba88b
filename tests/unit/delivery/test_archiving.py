"""What a dead letter means for its notification, for every way it may stand."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from uuid import UUID, uuid4

import pytest

from tidings.delivery.archiving import (
    REPLAYABLE,
    NotificationStatus,
    ReplayRefusal,
    Store,
    Wait,
    decide,
    refusal,
)
from tidings.delivery.attempt import Lane
from tidings.delivery.dead_letter import (
    DEAD_LETTER_TRANSITIONS,
    DeadLetter,
    DeadLetterState,
    Origin,
    lane_of,
)
from tidings.delivery.outcome import Failure, Reason
from tidings.delivery.states import FINISHED, UNFINISHED, State, may_become
from tidings_events import parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def body(**fields: object) -> bytes:
    email = {"channel": "email", "recipient": "a@example.com", "subject": "s", "body": "b"}
    return json.dumps({"id": str(uuid4()), **email, **fields}).encode()


def dead_letter(
    origin: Origin = Origin.LANE,
    reason: Reason = Reason.DELIVERY_LIMIT,
    *,
    epoch: int = 0,
    attempt: int = 1,
) -> DeadLetter:
    written = body()
    return DeadLetter(
        id=UUID(int=1),
        reason=reason,
        failure=Failure("broker_delivery_limit", "given up"),
        body=written,
        notification=parse(written),
        lane=Lane("email", "normal"),
        origin=origin,
        epoch=epoch,
        attempt=attempt,
        first_seen=NOW,
        dead_lettered_at=NOW,
        exchange="",
        routing_key="email.normal",
        content_type=None,
        headers={},
    )


def archived(decision: Store | Wait) -> Store:
    assert isinstance(decision, Store)
    return decision


def test_a_dead_letter_that_can_t_be_read_has_no_notification_to_end() -> None:
    unread = replace(dead_letter(Origin.ASTRAY, Reason.MALFORMED), notification=None)
    assert archived(decide(unread, None, NOW)).becomes is None


@pytest.mark.parametrize("reason", list(Reason))
def test_a_notification_that_the_ledger_lacks_ends_as_the_reason_says(reason: Reason) -> None:
    decision = archived(decide(dead_letter(reason=reason), None, NOW))
    assert decision.becomes is reason.state
    assert decision.state is DeadLetterState.OPEN


def test_every_move_is_in_the_table_and_only_in_the_dead_letters_own_epoch() -> None:
    lapsed = NOW - timedelta(seconds=1)
    for origin, reason, state, epoch, attempt, doubt in product(
        Origin, Reason, State, (0, 1), (0, 1, 2), (False, True)
    ):
        status = NotificationStatus(state, epoch, attempt, lapsed, perhaps_sent=doubt)
        decision = archived(decide(dead_letter(origin, reason), status, NOW))
        if decision.becomes is not None:
            assert may_become(state, decision.becomes)
            assert state in UNFINISHED
            assert epoch == 0
            assert origin is not Origin.ASTRAY
        if decision.state is not DeadLetterState.OPEN:
            assert decision.note


@pytest.mark.parametrize("state", sorted(FINISHED - REPLAYABLE))
def test_a_notification_that_ended_well_closes_its_dead_letter(state: State) -> None:
    decision = archived(decide(dead_letter(), NotificationStatus(state, 0, 1), NOW))
    assert decision.state is DeadLetterState.DISCARDED
    assert state.value in (decision.note or "")


@pytest.mark.parametrize("state", sorted(REPLAYABLE))
def test_what_the_attempt_said_is_kept_rather_than_what_rabbitmq_knows(state: State) -> None:
    failure = Failure("rejected", "no such user", "smtp", "550")
    status = NotificationStatus(state, 0, 1, reason=Reason.REJECTED, failure=failure)
    from_lane = archived(decide(dead_letter(), status, NOW)).dead_letter
    assert (from_lane.reason, from_lane.failure) == (Reason.REJECTED, failure)
    from_worker = dead_letter(Origin.WORKER, Reason.EXHAUSTED)
    assert archived(decide(from_worker, status, NOW)).dead_letter == from_worker


def test_what_the_attempt_said_of_other_content_is_not_a_dead_letters_failure() -> None:
    failure = Failure("rejected", "no such user", "smtp", "550")
    other = sha256(b"another body").digest()
    status = NotificationStatus(
        State.FAILED, 0, 1, reason=Reason.REJECTED, failure=failure, content=other
    )
    stray = dead_letter()
    assert archived(decide(stray, status, NOW)).dead_letter == stray


def test_somebody_who_may_be_sending_is_waited_for() -> None:
    until = NOW + timedelta(seconds=9)
    status = NotificationStatus(State.SENDING, 0, 1, until)
    assert decide(dead_letter(), status, NOW) == Wait(until)


@pytest.mark.parametrize(
    "status",
    [
        NotificationStatus(State.SENDING, 0, 1, NOW - timedelta(seconds=1)),
        NotificationStatus(State.RETRYING, 0, 1, perhaps_sent=True),
        NotificationStatus(State.QUEUED, 0, 0, perhaps_sent=True),
    ],
    ids=lambda status: status.state,
)
def test_what_may_have_been_delivered_is_unknown_and_not_failed(status: NotificationStatus) -> None:
    unknown = archived(decide(dead_letter(), status, NOW))
    assert unknown.becomes is State.UNKNOWN
    assert unknown.dead_letter.reason is Reason.OUTCOME_UNKNOWN


@pytest.mark.parametrize("state", [State.QUEUED, State.RETRYING, State.SENDING])
def test_a_dead_letter_with_other_content_ends_nothing(state: State) -> None:
    """The notification has a message of its own; this one is kept, and not replayed in its place."""
    lapsed = NOW - timedelta(seconds=1)
    other = NotificationStatus(state, 0, 1, lapsed, content=sha256(b"another body").digest())
    stray = dead_letter()
    decision = archived(decide(stray, other, NOW))
    assert (decision.becomes, decision.state) == (None, DeadLetterState.DISCARDED)
    own = replace(other, content=sha256(stray.body).digest())
    assert archived(decide(stray, own, NOW)).becomes is not None


def test_a_copy_that_was_overtaken_ends_nothing() -> None:
    status = NotificationStatus(State.RETRYING, 0, 3)
    decision = archived(decide(dead_letter(attempt=1), status, NOW))
    assert (decision.becomes, decision.state) == (None, DeadLetterState.DISCARDED)


def test_a_message_lost_between_its_record_and_its_tier_is_not_lost() -> None:
    """Recorded as retrying, and perhaps never published to its retry queue: the dead letter is all there is."""
    status = NotificationStatus(State.RETRYING, 0, 1)
    decision = archived(decide(dead_letter(attempt=1), status, NOW))
    assert (decision.becomes, decision.state) == (State.FAILED, DeadLetterState.OPEN)


def test_a_worker_whose_lease_had_run_out_ends_nothing() -> None:
    late = dead_letter(Origin.WORKER, Reason.REJECTED, attempt=1)
    decision = archived(decide(late, NotificationStatus(State.RETRYING, 0, 1), NOW))
    assert (decision.becomes, decision.state) == (None, DeadLetterState.DISCARDED)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("force", [False, True])
def test_only_what_the_table_allows_is_replayed(state: State, force: bool) -> None:
    why = refusal(NotificationStatus(state, 0, 1), 0, force=force)
    allowed = REPLAYABLE | ({State.SENT} if force else set())
    assert (why is None) == (state in allowed)


def test_an_old_dead_letter_is_replayed_only_where_forced() -> None:
    since = NotificationStatus(State.FAILED, 2, 1)
    objection = refusal(since, 1, force=False)
    assert objection is not None
    assert objection.refusal is ReplayRefusal.NEWER_EPOCH
    assert refusal(since, 1, force=True) is None


def test_closed_dead_letters_stay_closed() -> None:
    assert DEAD_LETTER_TRANSITIONS[DeadLetterState.DISCARDED] == frozenset()
    assert DEAD_LETTER_TRANSITIONS[DeadLetterState.SUPERSEDED] == frozenset()
    assert set(DEAD_LETTER_TRANSITIONS) == set(DeadLetterState)


@pytest.mark.parametrize(
    ("fields", "key", "lane"),
    [
        ({}, "email.high", Lane("email", "high")),
        ({"priority": "low"}, "email.high", Lane("email", "low")),
        ({}, "sms.urgent", Lane("email", "urgent")),
        ({}, "nonsense", Lane("email", "normal")),
        ({}, "email.asap", Lane("email", "normal")),
        ({}, "email.high.2m", Lane("email", "high")),
    ],
)
def test_the_body_says_where_a_dead_letter_belongs_and_the_key_where_it_doesn_t(
    fields: dict[str, object], key: str, lane: Lane
) -> None:
    assert lane_of(parse(body(**fields)), key, ["email"]) == lane


@pytest.mark.parametrize(
    ("key", "lane"),
    [
        ("email.high", Lane("email", "high")),
        ("email", Lane("email", "normal")),
        ("telegraph.high", None),
        ("", None),
    ],
)
def test_without_a_body_only_the_key_tells(key: str, lane: Lane | None) -> None:
    assert lane_of(None, key, ["email"]) == lane
