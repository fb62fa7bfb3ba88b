"""What is postponed comes back before its turn, spread over time, and nobody waits idle for it."""

import itertools

import pytest

from tidings.channels.webhook.postponements import FORESEEN, PostponementSchedule

WAITS = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0)


def test_each_comes_back_in_the_first_wait_after_which_there_is_too_little_to_do() -> None:
    schedule = PostponementSchedule(WAITS)

    waits = [schedule.postponed(0.0, each=0.1) for _ in range(420)]

    counted = {wait: len(list(same)) for wait, same in itertools.groupby(waits)}
    # Ten a second: those of two seconds are enough for five, and so on.
    assert counted == {2.0: 50, 5.0: 50, 10.0: 100, 20.0: 200, 40.0: 20}


def test_what_came_back_is_waited_for_no_more() -> None:
    schedule = PostponementSchedule(WAITS)
    for _ in range(100):
        schedule.postponed(0.0, each=0.1)

    assert schedule.postponed(300.0, each=0.1) == WAITS[0]


@pytest.mark.parametrize("each", [0.0, 1e9])
def test_whatever_is_thought_of_a_receiver_there_is_a_queue_for_the_wait(each: float) -> None:
    schedule = PostponementSchedule(WAITS)

    assert {schedule.postponed(0.0, each) for _ in range(50)} <= set(WAITS)


def test_of_very_many_the_last_wait_as_long_as_can_be_and_are_not_remembered() -> None:
    schedule = PostponementSchedule(WAITS)
    for _ in range(FORESEEN):
        schedule.postponed(0.0, each=0.001)

    assert schedule.postponed(0.0, each=0.001) == WAITS[-1]
    assert len(schedule._due) == FORESEEN
