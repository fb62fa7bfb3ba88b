"""A contender's rate is what left the queue while it was at work, not while it started or ended."""

import pytest
from benchmarks.drain import Look, rates
from benchmarks.stage import NotDone
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.w1_no_op import W1


def test_the_rate_is_the_slope_before_the_last_stragglers() -> None:
    looks = [
        Look(second, 9000 - 2000 * second, second * 0.5, 1.5 * second, 2.0 * second)
        for second in range(5)
    ]
    stragglers = [Look(5, 100, 2.1), Look(9, 0, 2.2)]
    assert rates([*looks, *stragglers], 10_000) == {
        "rate": pytest.approx(2000),
        "cpu_us": pytest.approx(250),
        "cpu_share": pytest.approx(0.5),
        "machine_busy": pytest.approx(0.75),
    }


def test_a_queue_that_was_empty_at_once_shows_no_rate() -> None:
    with pytest.raises(NotDone, match="larger scale"):
        rates([Look(0.0, 0, 0.1)], 10_000)


def test_every_workload_is_run_once_under_its_own_name() -> None:
    assert {workload.name for workload in WORKLOADS} == {f"W{number}" for number in range(1, 16)}
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)
    assert W1 is WORKLOADS[0]
