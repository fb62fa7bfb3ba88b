"""Goes through a large table of the ledger part by part, as fast as it is read and no faster."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from tidings.ledger.notifications.requeue import RANGE

AT_ONCE: Final = 500
MOST: Final = 5_000
"""Notifications published again in one round."""

Look = Callable[[int, int, int], Awaitable[int]]
"""Deals with at most so many notifications (the third) from one page to before another, and says with how many."""


class Sweep:
    """Remembers how far it came. The newest pages come first: what is lost now was mostly written lately.

    Args:
        seconds: After which a round begins no further range; each takes one at least.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._past = 0
        """What lies below is still to be looked at; 0 where the next round begins at the end of the table."""

    async def round(self, pages: int, look: Look) -> None:
        """Go on downwards while there is time, at most to the first page."""
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
