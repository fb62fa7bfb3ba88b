"""How fast a channel may go: its rate limit."""

from collections.abc import Callable
from time import monotonic
from typing import Final

ROUNDING: Final = 1e-9
"""What waiting exactly as long as told may fall short of a whole turn."""


class RateLimit:
    """A token bucket: `rate` a second, and a second's worth at once (at least one).

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
        """Whether there is a limit."""
        return self._rate is not None

    def wait(self) -> float:
        """Seconds until the next send may start; 0 takes the turn."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens > 1.0 - ROUNDING:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate

    def give_back(self) -> None:
        """A turn that was taken and nothing was sent in."""
        self._tokens = min(self._burst, self._tokens + 1.0)
