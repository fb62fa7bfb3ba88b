"""A round of the search for lost messages reads as much of the ledger as it has time for, the newest pages first."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tidings.ledger.notifications.requeue import RANGE
from tidings.scheduler.sweep import AT_ONCE, MOST, Sweep

PAGES = 4 * RANGE + 100
RANGES = [
    (3 * RANGE + 100, PAGES),
    (2 * RANGE + 100, 3 * RANGE + 100),
    (RANGE + 100, 2 * RANGE + 100),
    (100, RANGE + 100),
    (0, 100),
]


@dataclass
class Table:
    """Takes so long to read a range, and has so much to find in it."""

    seconds: float = 0.0
    found: Callable[[int], int] = lambda _: 0
    now: float = 0.0
    read: list[tuple[int, int]] = field(default_factory=list)

    async def look(self, first: int, past: int, limit: int) -> int:
        assert limit == AT_ONCE
        self.read.append((first, past))
        self.now += self.seconds
        return self.found(len(self.read))

    def sweep(self, seconds: float = 6.0) -> Sweep:
        return Sweep(seconds, lambda: self.now)


async def test_a_round_goes_on_over_all_ranges_while_they_are_quick() -> None:
    table = Table(seconds=0.1)
    sweep = table.sweep()
    await sweep.round(PAGES, table.look)
    assert table.read == RANGES
    await sweep.round(PAGES, table.look)
    assert table.read == RANGES * 2


async def test_a_round_whose_time_is_over_is_taken_up_by_the_next() -> None:
    table = Table(seconds=4.0)
    sweep = table.sweep()
    for rounds in (2, 4, 5):
        await sweep.round(PAGES, table.look)
        assert table.read == RANGES[:rounds]


async def test_a_range_slower_than_a_round_still_makes_it_go_on() -> None:
    table = Table(seconds=9.0)
    sweep = table.sweep()
    for _ in RANGES:
        await sweep.round(PAGES, table.look)
    assert table.read == RANGES


async def test_a_range_that_holds_more_is_looked_at_again_before_the_next() -> None:
    table = Table(found=lambda looks: AT_ONCE if looks <= 2 else 3)
    await table.sweep().round(PAGES, table.look)
    assert table.read == [RANGES[0]] * 2 + RANGES


async def test_no_round_finds_more_than_the_broker_is_to_be_given_at_once() -> None:
    table = Table(found=lambda _: AT_ONCE)
    sweep = table.sweep()
    await sweep.round(PAGES, table.look)
    assert table.read == [RANGES[0]] * (MOST // AT_ONCE)
    table.found = lambda _: 0
    await sweep.round(PAGES, table.look)
    assert table.read[MOST // AT_ONCE :] == RANGES


async def test_what_was_written_during_a_sweep_is_read_by_the_next_and_a_table_may_shrink() -> None:
    table = Table(seconds=9.0)
    sweep = table.sweep()
    await sweep.round(2 * RANGE, table.look)
    await sweep.round(9 * RANGE, table.look)
    await sweep.round(9 * RANGE, table.look)
    await sweep.round(5, table.look)
    await sweep.round(0, table.look)
    assert table.read == [
        (RANGE, 2 * RANGE),
        (0, RANGE),
        (8 * RANGE, 9 * RANGE),
        (0, 5),
    ]


async def test_a_range_that_could_not_be_read_is_read_by_the_next_round() -> None:
    table = Table()
    sweep = table.sweep()

    async def fails(first: int, past: int, limit: int) -> int:
        raise TimeoutError

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await sweep.round(PAGES, fails)
    await sweep.round(PAGES, table.look)
    assert table.read == RANGES
