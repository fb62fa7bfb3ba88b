"""Reads a large table of the ledger part by part, within a time limit for each round."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from tidings.ledger.notifications.requeue import RANGE

AT_ONCE: Final = 500
MOST: Final = 5_000
"""Notifications requeued in one round."""

Look = Callable[[int, int, int], Awaitable[int]]
"""Requeues at most a number of notifications (the third) from one page to before another, and returns how many."""


class Sweep:
    """Keeps its position. The newest pages come first: lost messages are mostly recent.

    Args:
        seconds: After which a round begins no further range; each reads at least one.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._past = 0
        """Pages below it are still to be read; 0 if the next round begins at the end of the table."""

    async def round(self, pages: int, look: Look) -> None:
        """Continue downwards while there is time, at most to the first page."""
        began, left = self._clock(), MOST
        self._past = min(self._past, pages) or pages
        while self._past:
            first = max(0, self._past - RANGE)
            found = await look(first, self._past, AT_ONCE)
            left -= found
            if found < AT_ONCE:  # else there may be more in the same range
                self._past = first
            if left < AT_ONCE or self._clock() - began >= self._seconds:
                break
