"""Divides the items of a job that wait into batches, page by page, for several who take them in turn."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from tidings.ledger.jobs.rows import OpenItem
from tidings.operations.dead_letters.pacing import AT_ONCE, batches

FIRST: Final = 50
"""Items of the first batches: whoever watches sees soon whether it works."""
FIRST_PAGE: Final = 6 * FIRST
"""Items read before anything is done."""
PAGE: Final = 10_000
"""Items read at once after that."""

Read = Callable[[int, int], Awaitable[Sequence[OpenItem]]]
"""Items that wait behind a position, at most so many."""


class Batches:
    """Whoever takes the last batch of a page reads the next page, while the others are busy.

    Args:
        read: Reads a page.
        after: The position behind which it begins.
        rate: Items a second, which bounds a batch; None for no limit.
    """

    def __init__(self, read: Read, after: int, rate: float | None) -> None:
        self._read = read
        self._after = after
        self._rate = rate
        self._limit = FIRST_PAGE
        self._page: Iterator[list[OpenItem]] = iter(())
        self._turn = asyncio.Lock()

    async def next(self) -> list[OpenItem] | None:
        """The next batch; None at the end. Raises what `read` does."""
        async with self._turn:
            if (batch := next(self._page, None)) is not None:
                return batch
            if not (page := await self._read(self._after, self._limit)):
                return None
            at_once = FIRST if self._limit == FIRST_PAGE else AT_ONCE
            self._after, self._limit = page[-1].position, PAGE
            self._page = batches(page, self._rate, at_once)
            return next(self._page)
