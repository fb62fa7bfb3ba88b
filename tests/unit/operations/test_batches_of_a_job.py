"""A job begins with small batches, and each item is in one of them."""

from collections.abc import Sequence
from uuid import UUID

from tidings.ledger.jobs.rows import OpenItem
from tidings.operations.dead_letters.pacing import AT_ONCE
from tidings.operations.jobs.batches import FIRST, FIRST_PAGE, Batches

ITEMS = 3 * AT_ONCE + FIRST_PAGE


async def sizes(rate: float | None = None) -> list[int]:
    async def read(after: int, limit: int) -> Sequence[OpenItem]:
        last = min(after + limit, ITEMS)
        return [OpenItem(place, UUID(int=place), 100) for place in range(after + 1, last + 1)]

    waiting, found = Batches(read, 0, rate), list[list[OpenItem]]()
    while (batch := await waiting.next()) is not None:
        found.append(batch)
    places = [item.position for batch in found for item in batch]
    assert places == list(range(1, ITEMS + 1))
    return [len(batch) for batch in found]


async def test_whoever_watches_sees_soon_whether_it_works() -> None:
    small = FIRST_PAGE // FIRST
    assert await sizes() == [FIRST] * small + [AT_ONCE] * 3
    assert FIRST <= AT_ONCE / 10


async def test_a_rate_makes_them_smaller_still() -> None:
    assert max(await sizes(rate=50)) == 10
