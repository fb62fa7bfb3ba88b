"""How fast a channel goes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.worker.rate_limit import RateLimit


@dataclass
class Clock:
    """Advances only on demand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sends(limit: RateLimit, clock: Clock, seconds: float) -> list[float]:
    """The times of sends that always wait as long as required."""
    end, sent = clock.now + seconds, []
    for _ in range(100_000):
        if clock.now >= end:
            return sent
        wait = limit.wait()
        if wait == 0:
            sent.append(clock.now)
        clock.now += wait
    raise AssertionError("waiting as long as required never ends")


def test_without_a_rate_nobody_waits(clock: Clock) -> None:
    limit = RateLimit(None, clock)
    assert {limit.wait() for _ in range(10_000)} == {0.0}


@pytest.mark.parametrize(("rate", "at_once"), [(5.0, 5), (1.0, 1), (0.1, 1), (2.5, 2)])
def test_a_second_s_worth_goes_at_once_and_at_least_one(
    clock: Clock, rate: float, at_once: int
) -> None:
    limit = RateLimit(rate, clock)
    assert [limit.wait() for _ in range(at_once)] == [0.0] * at_once
    assert 0 < limit.wait() <= 1 / rate


@pytest.mark.parametrize("rate", [0.1, 1.0, 2.5, 50.0])
def test_in_the_long_run_the_rate_is_kept_and_used(clock: Clock, rate: float) -> None:
    sent = sends(RateLimit(rate, clock), clock, 200.0)
    burst = max(1.0, rate)
    assert rate * 200 - 2 <= len(sent) <= rate * 200 + burst + 1


@given(rate=st.floats(0.01, 100), naps=st.lists(st.floats(0, 5), max_size=30))
def test_no_second_has_more_than_twice_the_rate(rate: float, naps: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(rate, clock)
    sent: list[float] = []
    for nap in naps:
        clock.now += nap
        while len(sent) < 300 and limit.wait() == 0:
            sent.append(clock.now)
    burst = max(1.0, rate)
    for place, moment in enumerate(sent):
        within = sum(1 for other in sent[place:] if other < moment + 1.0)
        assert within <= burst + rate + 1


def test_a_long_silence_saves_up_no_more_than_a_second(clock: Clock) -> None:
    limit = RateLimit(10.0, clock)
    clock.now += 3600
    assert sum(limit.wait() == 0 for _ in range(100)) == 10


def test_who_waits_as_long_as_told_goes(clock: Clock) -> None:
    limit = RateLimit(0.5, clock)
    assert limit.wait() == 0
    wait = limit.wait()
    assert wait == pytest.approx(2.0)
    clock.now += wait
    assert limit.wait() == 0


def test_a_turn_that_was_given_back_is_the_next_ones_and_no_more_go_at_once_than_ever(
    clock: Clock,
) -> None:
    limit = RateLimit(2.0, clock)
    limit.return_turn()
    assert [limit.wait() > 0 for _ in range(3)] == [False, False, True]
    limit.return_turn()
    assert limit.wait() == 0.0
    assert limit.wait() == 0.5
