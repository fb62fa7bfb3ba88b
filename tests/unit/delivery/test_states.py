"""The table of states: every move it allows, every move it forbids, and that it leads somewhere."""

import re
from itertools import product
from pathlib import Path

import pytest

from tidings.delivery.outcome import Reason
from tidings.delivery.states import (
    FINISHED,
    TRANSITIONS,
    UNFINISHED,
    State,
    may_become,
    sources,
)

EVERY_PAIR = list(product(State, repeat=2))

ALLOWED = {
    "scheduled": "queued cancelled expired",
    "queued": "sending sent suppressed expired failed unknown cancelled",
    "sending": "sending queued sent retrying failed expired unknown suppressed",
    "retrying": "sending sent failed expired unknown cancelled",
    "sent": "delivered bounced queued",
    "delivered": "bounced",
    "bounced": "delivered",
    "failed": "queued discarded",
    "expired": "queued discarded",
    "unknown": "queued discarded delivered bounced",
    "cancelled": "",
    "suppressed": "",
    "discarded": "",
}
"""The table once more, as DESIGN and docs/lifecycle.md tell it: a change has to be deliberate."""


@pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
def test_a_state_may_become_another_exactly_where_the_table_says_so(
    before: State, after: State
) -> None:
    assert may_become(before, after) == (after in ALLOWED[before].split())


def test_every_state_has_a_row_of_its_own() -> None:
    assert set(TRANSITIONS) == set(State) == {State(name) for name in ALLOWED}


def test_every_state_can_be_reached_from_the_two_in_which_a_notification_is_first_stored() -> None:
    reached, frontier = set(), {State.SCHEDULED, State.QUEUED}
    while frontier:
        reached |= frontier
        frontier = {after for state in frontier for after in TRANSITIONS[state]} - reached
    assert reached == set(State)


def test_the_diagram_in_the_documentation_draws_the_same_table() -> None:
    document = Path(__file__).parents[3] / "docs" / "lifecycle.md"
    drawn = re.findall(r"^    (\w+|\[\*\]) --> (\w+)", document.read_text(), re.MULTILINE)
    first_stored = {("[*]", "scheduled"), ("[*]", "queued")}
    allowed = {(before, after) for before in ALLOWED for after in ALLOWED[before].split()}
    assert set(drawn) == allowed | first_stored
    assert len(drawn) == len(set(drawn))


def test_every_state_is_either_finished_or_not() -> None:
    assert set(State) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED


def test_from_every_unfinished_state_an_end_can_be_reached() -> None:
    for state in UNFINISHED:
        assert TRANSITIONS[state] & FINISHED


def test_a_finished_notification_lives_again_only_by_a_replay() -> None:
    for state in FINISHED:
        assert TRANSITIONS[state] & UNFINISHED <= {State.QUEUED}


def test_what_was_called_off_suppressed_or_discarded_stays_so() -> None:
    for state in (State.CANCELLED, State.SUPPRESSED, State.DISCARDED):
        assert not TRANSITIONS[state]


@pytest.mark.parametrize("after", State)
def test_the_sources_of_a_state_are_those_that_may_become_it(after: State) -> None:
    assert sources(after) == tuple(
        sorted(before for before in State if after in ALLOWED[before].split())
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_for_a_dead_letter_is_an_end_that_a_replay_or_a_person_can_lift(
    reason: Reason,
) -> None:
    assert reason.state in FINISHED
    assert State.QUEUED in TRANSITIONS[reason.state]
    # Whoever closes the dead letter of a copy changes nothing for the recipient, who has the mail.
    assert State.DISCARDED in TRANSITIONS[reason.state] or reason is Reason.COPIES_REFUSED
