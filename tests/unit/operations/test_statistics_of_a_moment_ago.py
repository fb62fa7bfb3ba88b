"""Statistics of a long period are read once for all who look at it within some seconds, and say when they were read."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tidings.delivery.errors import LedgerUnavailable
from tidings.ledger.operators.rates import Rates
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import EVERYTHING, Choice, Statistics
from tidings.operations.recent_statistics import MOST, RecentStatistics, StatisticsKey

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Reader:
    """Counts how often statistics are read, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.reads = 0
        self.away = False
        self.recent = RecentStatistics(lambda: self.now)

    async def read(self) -> Statistics:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise LedgerUnavailable("PostgreSQL: no answer in time")
        return Statistics(self._window, None, Rates(succeeded=self.reads), {}, (), {})

    async def succeeded(self, age: float = 30.0, **fields: object) -> int:
        seen = await self.recent.get(key_of(**fields), age, self.read)
        assert seen.at <= datetime.now(UTC)
        return seen.statistics.total.succeeded

    _window = Window(NOW - timedelta(days=30), NOW, 14_400)


def key_of(hours: int = 0, tenant: str | None = None) -> StatisticsKey:
    window = Window(NOW - timedelta(days=30), NOW + timedelta(hours=hours), 14_400)
    return window, Choice(tenant) if tenant else EVERYTHING, True


async def test_the_same_period_is_read_once_within_its_age() -> None:
    reader = Reader()
    at_once = await asyncio.gather(*(reader.succeeded() for _ in range(3)))
    reader.now += 29.0
    assert [*at_once, await reader.succeeded()] == [1, 1, 1, 1]
    reader.now += 2.0
    assert await reader.succeeded() == 2


async def test_what_is_asked_otherwise_is_read_by_itself() -> None:
    reader = Reader()
    assert [await reader.succeeded(), await reader.succeeded(tenant="shop")] == [1, 2]
    assert [await reader.succeeded(hours=4), await reader.succeeded(tenant="shop")] == [3, 2]


async def test_without_an_age_statistics_are_read_each_time() -> None:
    reader = Reader()
    assert [await reader.succeeded(0.0), await reader.succeeded(0.0)] == [1, 2]


async def test_a_failure_is_told_and_not_kept() -> None:
    reader = Reader()
    reader.away = True
    with pytest.raises(LedgerUnavailable):
        await reader.succeeded()
    reader.away = False
    assert await reader.succeeded() == 2


async def test_statistics_of_few_periods_are_remembered() -> None:
    reader = Reader()
    for hours in range(MOST + 1):
        await reader.succeeded(hours=hours)
    assert await reader.succeeded(hours=MOST) == MOST + 1
    assert await reader.succeeded(hours=0) == MOST + 2
