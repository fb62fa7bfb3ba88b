"""Waves, batches, pace and sums of a replay."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from tidings.alerts.notice import notice
from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.jobs import JobState
from tidings.delivery.states import State
from tidings.ledger.dead_letters.search import Chosen
from tidings.ledger.operators.alerts import AlertGroup, PendingAlert
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.dead_letters.pacing import AT_ONCE, BYTES_AT_ONCE, Pace, batches
from tidings.operations.dead_letters.replays import ReplaySummary


def chosen(count: int, size: int = 100) -> list[Chosen]:
    return [Chosen(UUID(int=number), size) for number in range(count)]


def test_batches_keep_the_order_and_leave_nobody_out() -> None:
    dead_letters = chosen(AT_ONCE * 2 + 1)
    divided = list(batches(dead_letters, None))
    assert [len(batch) for batch in divided] == [AT_ONCE, AT_ONCE, 1]
    assert [dead_letter for batch in divided for dead_letter in batch] == dead_letters


def test_large_dead_letters_go_in_smallbatches() -> None:
    divided = list(batches(chosen(5, BYTES_AT_ONCE // 2), None))
    assert [len(batch) for batch in divided] == [2, 2, 1]
    assert [len(batch) for batch in batches(chosen(2, BYTES_AT_ONCE * 2), None)] == [1, 1]


@pytest.mark.parametrize(("rate", "largest"), [(0.5, 1), (5, 1), (50, 10), (100_000, AT_ONCE)])
def test_a_rate_makes_batches_small(rate: float, largest: int) -> None:
    assert max(len(batch) for batch in batches(chosen(1_000), rate)) == largest


def test_every_state_is_counted_once() -> None:
    counts = Outcomes.of(dict.fromkeys(State, 1))
    assert counts.total == len(State)
    assert (counts.delivered, counts.failed, counts.retrying, counts.waiting) == (2, 4, 1, 2)
    assert counts.trouble == 5


def test_what_was_not_tried_is_not_settled() -> None:
    counts = Outcomes.of({State.QUEUED: 3, State.SENT: 1})
    assert (counts.settled, counts.waiting, counts.total) == (1, 3, 4)


def test_pace_lets_the_first_go_at_once_and_spreads_the_others() -> None:
    pace = Pace(100)
    waits = [pace.turn(5) for _ in range(4)]
    assert waits[0] == 0
    assert waits[1:] == pytest.approx([0.05, 0.10, 0.15], abs=0.02)
    assert Pace(None).turn(1_000) == 0


def test_a_summary_adds_up() -> None:
    results = {"replayed": 4, "scheduled": 1, "malformed": 1, "being_replayed": 1}
    summary = ReplaySummary(uuid4(), JobState.FINISHED, 10, results, Outcomes())
    assert (summary.replayed, summary.later, summary.taken, summary.left) == (5, 1, 1, 3)
    assert summary.refusals == {ReplayRefusal.MALFORMED: 1, ReplayRefusal.BEING_REPLAYED: 1}
    assert not summary.well
    taken = replace(summary, results={"replayed": 9, "being_replayed": 1})
    assert taken.well
    assert not replace(taken, stopped="too many failed").well
    assert not replace(taken, outcomes=Outcomes(failed=1)).well


def test_a_notice_counts_and_names_the_worst() -> None:
    text = notice(
        PendingAlert(1_234, None),
        [AlertGroup("abc", "rejected", "email", 1_200, "rejected", "550")],
    )
    assert text.title == "Tidings: 1,234 dead letters"
    assert "1,200 × email rejected 550 [abc]" in text.text
    assert notice(PendingAlert(1, None), []).title == "Tidings: 1 dead letter"
