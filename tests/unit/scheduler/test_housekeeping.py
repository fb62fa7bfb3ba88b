"""A round of housekeeping: one part that fails does not keep the other from being done."""

from collections.abc import AsyncIterator
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.inbox import SilentHints
from tidings.ledger.inbox.purging import PurgingStep
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.retention import RetentionStep
from tidings.scheduler.housekeeping import maintain_ledger


class House:
    """A ledger of which one part fails, or none."""

    def __init__(self, failing: str) -> None:
        self.failing = failing
        self.done: list[str] = []
        self.periods = SimpleNamespace(weeks=1)

    async def add_missing(self, today: date, weeks: int) -> tuple[Any, ...]:
        self._do("partitions")
        return ()

    async def expire(self) -> int:
        self._do("rollups")
        return 0

    async def run(self, today: date) -> AsyncIterator[RetentionStep]:
        self._do("retention")
        yield RetentionStep("a place", 1)

    async def empty(self) -> AsyncIterator[PurgingStep]:
        self._do("inboxes")
        yield PurgingStep(1, 0, ())

    def _do(self, part: str) -> None:
        if part == self.failing:
            raise LedgerUnavailable("a table was in use")
        self.done.append(part)


@pytest.mark.parametrize(
    ("failing", "done"),
    [
        ("", ["partitions", "retention", "rollups", "inboxes"]),
        ("partitions", ["retention", "rollups", "inboxes"]),
        ("retention", ["partitions", "rollups", "inboxes"]),
        ("rollups", ["partitions", "retention", "inboxes"]),
        ("inboxes", ["partitions", "retention", "rollups"]),
    ],
)
async def test_each_part_is_done_though_the_other_fails(failing: str, done: list[str]) -> None:
    house = House(failing)
    parts = {"partitions": house, "retention": house, "rollups": house}
    inboxes = SimpleNamespace(run=house.empty)
    ledger = cast(PostgresLedger, SimpleNamespace(**parts, inbox_purging=inboxes))

    well = await maintain_ledger(ledger, SilentHints())

    assert (house.done, well) == (done, not failing)
