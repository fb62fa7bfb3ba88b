"""Spreads over time what is put off, so that whoever it is for is never idle, nor asked in vain more than needs be. Pure."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

FORESEEN: Final = 10_000
"""Webhooks of which it is known when they come back; what is put off beyond waits as long as can be."""


class Returns:
    """Those put off because of one receiver, or of all that are not known yet.

    Args:
        waits: Seconds for which one may be put off, the shortest first: there is a retry queue for each.
    """

    def __init__(self, waits: Sequence[float]) -> None:
        self._waits = waits
        self._due: list[float] = []

    def deferred(self, now: float, each: float) -> float:
        """Another one; for how many seconds.

        It is the first wait after which too few come back for the time until the next: what comes back sooner
        is put off again, and what comes later leaves somebody idle.

        Args:
            each: Seconds after which the next turn is free, and so on.
        """
        del self._due[: bisect_right(self._due, now)]
        if len(self._due) >= FORESEEN:
            return self._waits[-1]
        chosen = self._waits[-1]
        for wait, longer in pairwise(self._waits):
            if bisect_right(self._due, now + wait) * each < longer:
                chosen = wait
                break
        insort(self._due, now + chosen)
        return chosen
