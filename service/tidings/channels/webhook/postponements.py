"""Spreads postponed webhooks over time, so that a receiver is not idle and few return too early. Pure."""

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

FORESEEN: Final = 10_000
"""Postponed webhooks whose return is tracked; any beyond get the longest delay."""


class PostponementSchedule:
    """When the postponed webhooks of one receiver, or of all untested ones, return.

    Args:
        waits: Delays of the retry queues, in seconds, the shortest first.
    """

    def __init__(self, waits: Sequence[float]) -> None:
        self._waits = waits
        self._due: list[float] = []

    def postponed(self, now: float, each: float) -> float:
        """Postpone another webhook; returns its delay in seconds.

        The delay is the first one after which too few webhooks return to keep the receiver busy until the next
        delay: a shorter one would postpone the webhook again, a longer one would leave the receiver idle.

        Args:
            each: Seconds in which the receiver handles one webhook.
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
