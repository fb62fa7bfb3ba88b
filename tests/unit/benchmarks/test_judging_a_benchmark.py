"""A benchmark's figures are summed up, judged against the targets, and told, as they were measured."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.plot import plot
from benchmarks.report import report
from benchmarks.results import Gap, Measurement, Participant, Results, load, percentile, save
from benchmarks.targets import QUICK, Keeps, Memory, Scales, Stays, judge, missed
from benchmarks.workloads import WORKLOADS


def measured(rates: Mapping[str, list[float]]) -> Results:
    """A run of W1 with these rates of each contender."""
    return Results(
        began="2026-11-22T21:00+00:00",
        minutes=3,
        scale=1,
        machine={"cores": "2"},
        versions={"RabbitMQ": "3.10.8"},
        participants=[
            Participant(name, "1.0", "1 × 1", ("1 × 1",), ("as it comes",), peer, {})
            for name, peer in (
                ("Tidings", False),
                ("bare loop", False),
                ("Dramatiq", True),
                ("Celery", True),
            )
        ],
        measurements=[
            Measurement("W1", name, {"rate": rate, "memory_mb": 80.0})
            for name, repeats in rates.items()
            for rate in repeats
        ],
    )


FAST = {
    "Tidings": [6000.0, 6300, 6100],
    "bare loop": [5000.0],
    "Dramatiq": [1900.0],
    "Celery": [900.0],
}


def variants(workload: str, **values: Mapping[str, float]) -> Results:
    own = [
        Measurement(workload, "Tidings", each, name.replace("_", " "))
        for name, each in values.items()
    ]
    return replace(measured({}), measurements=own)


def test_ratios_are_those_of_the_medians() -> None:
    bare, peer = judge(measured(FAST), QUICK)
    assert bare.met
    assert bare.measured.startswith("1.22 ×")
    assert peer.met
    assert "Dramatiq" in peer.measured


def test_a_target_is_missed_by_what_is_lacking() -> None:
    bare, peer = judge(measured({**FAST, "Tidings": [3000.0], "Dramatiq": [500.0]}), QUICK)
    assert bare.met is False
    assert bare.margin == pytest.approx(-0.5)
    assert peer.met
    assert peer.measured.startswith("3.33 ×")


def test_a_review_asks_for_what_the_last_whole_run_reached_where_that_missed_the_target() -> None:
    bare, peer = QUICK
    last = measured({**FAST, "Tidings": [5500.0], "Dramatiq": [1100.0]})

    assert bare.kept(last).factor == pytest.approx(1.1 * 0.85)
    assert peer.kept(last) is peer
    assert bare.kept(measured({})) is bare


def test_what_was_not_measured_does_not_count_as_met() -> None:
    verdicts = judge(measured({"Tidings": [6000.0], "bare loop": [4000.0]}), QUICK)
    assert [verdict.met for verdict in verdicts] == [True, None]
    assert missed(verdicts) == verdicts[1:]


def test_growth_is_judged_against_its_own_beginning() -> None:
    grown = variants("W6", empty={"rate": 5000.0}, big={"rate": 4400.0})
    verdict = Keeps("W6", 0.9, "big", "empty").judge(grown)
    assert verdict.met is False
    assert verdict.measured.startswith("0.88 ×")
    assert verdict.margin == pytest.approx(0.88 / 0.9 - 1)


@pytest.mark.parametrize(("p99", "met"), [(24.0, True), (25.0, False)])
def test_latency_while_something_happens_is_judged_against_that_before(
    p99: float, met: bool
) -> None:
    results = variants("W12", before={"p99_ms": 20.0}, meanwhile={"p99_ms": p99})
    verdict = Stays("W12", "p99_ms", 1.2, "p99", "meanwhile", "before").judge(results)
    assert verdict.met is met
    assert verdict.measured.startswith(f"{p99 / 20:.2f} × ({p99} to 20.0)")


def test_slow_sends_are_judged_only_while_there_is_cpu_left() -> None:
    scaled = variants(
        "W7",
        few={"of_possible": 0.97, "cpu_each": 0.3, "machine_busy": 0.5},
        many={"of_possible": 0.60, "cpu_each": 0.99, "machine_busy": 0.8},
        crowd={"of_possible": 0.50, "cpu_each": 0.7, "machine_busy": 0.99},
    )
    verdict = Scales("W7", 0.9).judge(scaled)
    assert verdict.met
    assert verdict.measured == "0.97 × (few)"


def test_memory_is_that_of_the_worst_moment_of_one_process() -> None:
    results = variants("W7", one={"memory_mb": 110.0}, two={"memory_mb": 260.0, "processes": 2})
    assert Memory(120).judge(results).met is False
    assert Memory(140).judge(results).met


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 0)] == [50, 99, 100, 1]


def test_the_page_tells_figures_gaps_and_misses() -> None:
    results = replace(
        measured({**FAST, "Tidings": [5000.0, 5200, 5100]}),
        gaps=[Gap("W1", "Celery", "out of time")],
    )
    page = report(results, WORKLOADS)
    assert "| Tidings | 5,100 ± 2 % |" in page
    assert "- Celery: out of time." in page
    assert "1.02 × (5,100/s to 5,000/s of bare loop) | **not met** | -15%" in page
    assert "RabbitMQ | 3.10.8" in page


def test_the_plot_is_a_picture_with_a_bar_for_each_contender() -> None:
    picture = ElementTree.fromstring(plot(measured(FAST)))  # noqa: S314 - we have just written it
    bars = [
        float(bar.attrib["width"])
        for bar in picture.iter("{http://www.w3.org/2000/svg}rect")
        if bar.attrib["width"] != "14"
    ]
    assert bars == sorted(bars, reverse=True)
    assert len(bars) == 4
    assert bars[0] == pytest.approx(500 * 6100 / 7500, abs=0.1)  # the axis ends at 7,500
    assert bars[1] / bars[2] == pytest.approx(5000 / 1900, rel=0.01)


def test_figures_come_back_from_their_file(tmp_path: Path) -> None:
    results = measured(FAST)
    save(results, tmp_path / "figures.json")
    again = load(tmp_path / "figures.json")
    assert again.measurements == results.measurements
    assert judge(again) == judge(results)
