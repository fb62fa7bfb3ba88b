"""A page that has no time to wait shows the depths of a moment ago, while RabbitMQ is asked again for those who come later."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tidings.operations import statistics
from tidings.operations.backend import DepthsAsOf
from tidings.operations.statistics import Depth
from tidings.runtime.shared_look import SharedLook


class Depths:
    """Counts looks at the queues, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        looks = SharedLook[DepthsAsOf](2.0, clock=lambda: self.now)
        self.backend: Any = SimpleNamespace(settings=None, queue_depths=looks)

    async def look(self, _: object, pause: float) -> DepthsAsOf:
        self.pauses.append(pause)
        return DepthsAsOf((Depth("tidings.dead", "", len(self.pauses), 1),), datetime.now(UTC))

    async def shown(self) -> int | None:
        found = await statistics._recent_depths(self.backend, 0.04)
        for _ in range(3):
            await asyncio.sleep(0)  # what nobody waits for goes on
        return found.depths[0].messages


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> Depths:
    made = Depths()
    monkeypatch.setattr(statistics, "_depths", made.look)
    return made


async def test_depths_are_shown_at_once_and_looked_for_again_meanwhile(depths: Depths) -> None:
    assert await depths.shown() == 1
    depths.now += 3.0
    assert (await depths.shown(), len(depths.pauses)) == (1, 1)
    depths.now += 2.0
    assert (await depths.shown(), len(depths.pauses)) == (1, 2)
    assert await depths.shown() == 2


async def test_depths_of_longer_ago_are_waited_for(depths: Depths) -> None:
    assert await depths.shown() == 1
    depths.now += 11.0
    assert await depths.shown() == 2


async def test_a_look_that_nobody_waits_for_leaves_time_for_others(depths: Depths) -> None:
    await depths.shown()
    depths.now += 5.0
    await depths.shown()
    assert depths.pauses == [0.0, statistics.PAUSE]
