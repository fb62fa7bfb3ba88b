"""How long to wait between tries."""

import random


class Backoff:
    """Waits that double up to a limit, each shortened at random so that workers don't knock together."""

    def __init__(self, longest: float, first: float = 0.25) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def reset(self) -> None:
        """It worked: start from the shortest wait next time."""
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        wait: float = min(self._longest, self._first * 2.0 ** min(self._tries, 20))
        self._tries += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
