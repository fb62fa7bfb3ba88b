"""Exponential backoff with jitter."""

import random


class Backoff:
    """Waits that double up to a limit, each shortened at random so that workers don't retry at the same time."""

    def __init__(self, longest: float, first: float = 0.25) -> None:
        self._first = first
        self.longest = longest
        """Seconds of the longest wait."""
        self._attempts = 0

    def reset(self) -> None:
        """Start from the shortest wait next time."""
        self._attempts = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        wait: float = min(self.longest, self._first * 2.0 ** min(self._attempts, 20))
        self._attempts += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
