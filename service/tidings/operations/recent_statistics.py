"""Statistics that were read a moment ago, shared by all who look at the same period."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import Choice, Statistics
from tidings.runtime.shared_look import SharedLooks

MOST: Final = 32
"""Periods and choices of a process that are remembered: each is some 100 kB."""

StatisticsKey: TypeAlias = tuple[Window, Choice, bool]
"""The period, what is counted, and whether with details."""


@dataclass(frozen=True, slots=True)
class StatisticsAsOf:
    """Statistics, and when they were read."""

    statistics: Statistics
    at: datetime


class RecentStatistics:
    """Reads the same statistics once, however many want them within some seconds.

    Args:
        clock: Monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._looks = SharedLooks[StatisticsAsOf](MOST, clock)

    async def get(
        self, key: StatisticsKey, age: float, read: Callable[[], Coroutine[Any, Any, Statistics]]
    ) -> StatisticsAsOf:
        """What was read lately, or is being read, or is read now. Raises whatever reading raises.

        Args:
            key: What is wanted.
            age: Seconds old that it may be, the same for all who want it; 0: it is read now.
            read: Reads it.
        """

        async def look() -> StatisticsAsOf:
            at = datetime.now(UTC)
            return StatisticsAsOf(await read(), at)

        if age <= 0:
            return await look()
        return await self._looks.at(key, age).get(look)
