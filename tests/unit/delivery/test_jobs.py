"""The states of a job, its waves, and how its outcomes are counted."""

import re
from pathlib import Path

import pytest

from tidings.delivery.jobs import TRANSITIONS, JobState, Plan, sources
from tidings.operations.jobs.tally import Tally


def test_the_diagram_in_the_documentation_draws_the_table() -> None:
    document = (Path(__file__).parents[3] / "docs/dead-letters.md").read_text()
    section = document.partition("### States of a job")[2]
    drawn = re.findall(r"^    (\w+) --> (\w+)", section, re.MULTILINE)
    assert sorted(drawn) == sorted(
        (str(before), str(after)) for before, targets in TRANSITIONS.items() for after in targets
    )


def test_what_has_ended_stays_as_it_is() -> None:
    assert TRANSITIONS[JobState.FINISHED] == TRANSITIONS[JobState.CANCELLED] == frozenset()
    assert set(sources(JobState.RUNNING)) == {
        *(JobState.PREVIEW, JobState.PAUSED, JobState.STOPPED)
    }


@pytest.mark.parametrize(
    ("canary", "items", "waves"),
    [
        ((), 10, []),
        ((1, 10), 100, [(0, 1), (1, 11)]),
        ((1, 10), 5, [(0, 1), (1, 5)]),
        ((1, 10), 1, [(0, 1)]),
    ],
)
def test_waves_end_with_the_items(
    canary: tuple[int, ...], items: int, waves: list[tuple[int, int]]
) -> None:
    assert list(Plan(canary=canary).waves(items)) == waves


async def test_a_part_that_is_final_is_not_counted_again() -> None:
    counted = list[tuple[int, int]]()
    states = {0: {"sent": 10}, 10: {"sent": 4, "queued": 6}, 20: {"sent": 5}}

    async def count(after: int, upto: int) -> dict[str, int]:
        counted.append((after, upto))
        return states[after]

    tally = Tally(count, 10)
    await tally.look(25)
    assert tally.counts == {"sent": 19, "queued": 6}
    assert counted == [(0, 10), (10, 20), (20, 25)]
    states[10] = {"sent": 10}
    await tally.look(25)
    assert tally.counts == {"sent": 25}
    assert counted[3:] == [(10, 20), (20, 25)]  # the last one is not complete
