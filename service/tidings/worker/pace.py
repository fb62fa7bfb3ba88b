"""How fast a channel may go: its rate limit, and its gate, shut while the channel is misconfigured."""

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


class Gate:
    """Open, or shut for a while; the first one through after that is a probe, alone.

    Args:
        pause: Seconds to stay shut; doubled each time a probe fails, up to ten times as long.
    """

    def __init__(self, pause: float, clock: Callable[[], float] = monotonic) -> None:
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._shut_until = 0.0
        self._probing = False

    @property
    def shut(self) -> bool:
        """Whether the channel is at fault, as far as is known."""
        return self._failures > 0

    def wait(self) -> float:
        """Seconds until somebody may pass; 0 lets one pass, `inf` waits for the probe's result."""
        if not self.shut:
            return 0.0
        if self._probing:
            return float("inf")
        left = self._shut_until - self._clock()
        if left > 0:
            return left
        self._probing = True
        return 0.0

    def passed(self) -> bool:
        """Somebody came through: open. True where it had been shut."""
        was_shut, self._failures, self._probing = self.shut, 0, False
        return was_shut

    def withdrew(self) -> None:
        """The probe turned back without a result: let another try."""
        self._probing = False

    def failed(self) -> float:
        """The channel is at fault: shut. Seconds until the next probe."""
        if not self.shut or self._probing:
            self._failures += 1
        self._probing = False
        rest = self._pause * min(2.0 ** min(self._failures - 1, 10), 10.0)
        self._shut_until = self._clock() + rest
        return rest
