"""Every state of a notification has a decision and a rule, and they are read from what is stored."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operations.test_why_mail_waits import NOW, notification

from tidings.delivery.states import State
from tidings.ledger.notifications.details import NotificationDetails, Transition
from tidings.operations.decisions import Disposition, decided

DUE = NOW + timedelta(hours=1)


def story(state: State, **fields: object) -> NotificationDetails:
    last = Transition(0, NOW, "queued", state.value, "cli jane@desk", "sold out", 1)
    row = replace(notification(), state=state, updated_at=NOW, **fields)
    return NotificationDetails(row, b"", (last,), (), ())


@pytest.mark.parametrize(
    ("state", "decision", "rule"),
    [
        (State.SCHEDULED, "defer", "schedule"),
        (State.QUEUED, "defer", "lane"),
        (State.SENDING, "send", "claim"),
        (State.RETRYING, "defer", "retry_policy"),
        (State.SENT, "send", "accepted"),
        (State.DELIVERED, "send", "accepted"),
        (State.BOUNCED, "send", "accepted"),
        (State.FAILED, "skip", "exhausted"),
        (State.UNKNOWN, "skip", "exhausted"),
        (State.EXPIRED, "skip", "expires_at"),
        (State.SUPPRESSED, "skip", "idempotency_key"),
        (State.CANCELLED, "skip", "cancelled"),
        (State.DISCARDED, "skip", "discarded"),
    ],
)
def test_each_state_has_its_decision(state: State, decision: str, rule: str) -> None:
    ended_badly = state in {State.FAILED, State.UNKNOWN}
    found = decided(story(state, reason="exhausted" if ended_badly else None), NOW)
    assert (found.decision, found.rule) == (decision, rule)
    assert (found.at, found.by) == (NOW, "cli jane@desk")
    assert found.explanation


def test_no_state_is_without_a_decision() -> None:
    assert {decided(story(state), NOW).decision for state in State} == set(Disposition)


def test_what_is_queued_for_later_waits_for_its_time() -> None:
    found = decided(story(State.QUEUED, scheduled_at=DUE), NOW)
    assert (found.rule, found.until) == ("schedule", DUE)


def test_what_waits_in_its_lane_says_why_if_that_is_known() -> None:
    assert decided(story(State.QUEUED), NOW, "email is paused").explanation == "email is paused"


def test_what_a_person_did_is_told_with_the_note() -> None:
    assert "sold out" in decided(story(State.CANCELLED), NOW).explanation


def test_a_mail_that_not_all_got_says_so() -> None:
    found = decided(story(State.SENT, reason="copies_refused"), NOW)
    assert (found.decision, found.rule) == ("send", "copies_refused")
