"""A channel's rate limit."""

from collections.abc import Callable
from time import monotonic
from typing import Final

ROUNDING: Final = 1e-9
"""By how much waiting exactly as long as required may fall short of a whole token."""


class RateLimit:
    """A token bucket: `rate` per second, with a burst of one second's worth (at least one).

    Args:
        rate: Sends per second; None for no limit.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._burst = max(1.0, rate or 1.0)
        self._tokens = self._burst
        self._filled = clock()

    @property
    def limited(self) -> bool:
        """Whether a limit is set."""
        return self._rate is not None

    def wait(self) -> float:
        """Seconds until the next send may start; if 0, its turn is taken."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens > 1.0 - ROUNDING:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate

    def return_turn(self) -> None:
        """Return a turn in which nothing was sent."""
        self._tokens = min(self._burst, self._tokens + 1.0)
