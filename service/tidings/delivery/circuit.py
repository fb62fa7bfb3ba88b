"""Step four asks here first: may this provider be asked just now, or is it known to be down?

closed ──too many failures──▶ open ──time is up──▶ probing ──success──▶ ramping ──▶ closed
                               ▲                      │                    │
                               └──────a failure───────┴──failures again────┘
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from random import random
from time import monotonic
from typing import Final

UNLIMITED: Final = 1_000_000
"""Slots of a closed circuit."""
JITTER: Final = 0.25
"""Share of an interval by which it may be longer, so that workers don't probe in step."""
LONGEST: Final = 60.0
"""How many times its first length an interval between probes may grow to."""


DOUBTFUL: Final = 0.1
"""Share of the first interval after which the next one is tried, where it may have been the notification's
fault: no provider is left alone for long on the word of one recipient's mailbox."""


class Phase(StrEnum):
    """What a circuit lets through."""

    CLOSED = "closed"
    """Everybody."""
    OPEN = "open"
    """Nobody, until the next probe."""
    PROBING = "probing"
    """One is on its way; what comes of it decides."""
    RAMPING = "ramping"
    """A few at a time, more with each that succeeds."""
    DISABLED = "disabled"
    """Nobody: an operator disabled the provider, and has to enable it."""


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """What opens a circuit, and how it finds back."""

    failures: int = 10
    """Failures in a row that open it; 0: only a misconfiguration does."""
    share: float = 0.75
    """Or so many of all sends within `window`…"""
    window: float = 60.0
    """… in seconds …"""
    minimum: int = 20
    """… where there were at least so many."""
    probe: float = 5.0
    """Seconds until the first probe."""
    slots: int = 50
    """Sends at once at which it counts as recovered."""


class RecentCounts:
    """Counts successes and failures of about the last `length` seconds, in two halves."""

    __slots__ = ("_before", "_ends", "_failed", "_half", "_now", "_sent")

    def __init__(self, length: float) -> None:
        self._half = length / 2
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._before = (0, 0)
        self._sent = self._failed = 0
        self._ends = -inf

    def count(self, now: float, *, failed: bool) -> None:
        """One more."""
        if now >= self._ends:
            lately = now < self._ends + self._half
            self._before = (self._sent, self._failed) if lately else (0, 0)
            self._sent = self._failed = 0
            self._ends = now + self._half
        self._sent += 1
        self._failed += failed

    @property
    def sent(self) -> int:
        """Sends, whatever came of them."""
        return self._before[0] + self._sent

    @property
    def failed(self) -> int:
        """Those of them that failed."""
        return self._before[1] + self._failed


class Circuit:
    """Whether one provider may be asked. Pure: it knows the time it is told, and nothing else.

    Who wants to ask takes a slot (`enter`) and says afterwards what came of it (`succeeded`, `failed`
    or `withdrew`), naming the era in which it entered: what began before the circuit opened says
    nothing of how the provider is now.

    Args:
        clock: Seconds.
        jitter: A number from 0 to 1.
    """

    __slots__ = (
        "_allowed", "_clock", "_era", "_inside", "_jitter", "_openings", "_policy", "_recently",
        "_row", "phase", "probe_at", "under_way",
    )  # fmt: skip

    def __init__(
        self,
        policy: CircuitPolicy,
        clock: Callable[[], float] = monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._recently = RecentCounts(policy.window)
        self._era = 1
        self._openings = self._row = self._inside = 0
        self._allowed = 1
        self.phase = Phase.CLOSED
        self.probe_at = inf
        self.under_way = 0
        """Slots in use, of all eras."""

    @property
    def healthy(self) -> bool:
        """Whether the provider has answered since it was last given up, if it ever was."""
        return self.phase in {Phase.CLOSED, Phase.RAMPING}

    def wait(self) -> float:
        """Seconds until there may be a slot; `inf` where something else has to happen first."""
        match self.phase:
            case Phase.CLOSED:
                return 0.0
            case Phase.OPEN:
                return max(0.0, self.probe_at - self._clock())
            case Phase.PROBING | Phase.DISABLED:
                return inf
            case Phase.RAMPING:
                return 0.0 if self._inside < self._allowed else inf

    @property
    def slots(self) -> int:
        """How many may enter now."""
        match self.phase:
            case Phase.CLOSED:
                return UNLIMITED
            case Phase.OPEN:
                return 0 if self.wait() else 1
            case Phase.PROBING | Phase.DISABLED:
                return 0
            case Phase.RAMPING:
                return max(0, self._allowed - self._inside)

    def enter(self) -> int:
        """Take a slot: the era to name afterwards; 0 where there is no slot."""
        if self.phase is not Phase.CLOSED:
            if self.slots < 1:
                return 0
            self._inside += 1
            if self.phase is Phase.OPEN:
                self.phase = Phase.PROBING
        self.under_way += 1
        return self._era

    def withdrew(self, era: int) -> None:
        """Nothing came of it: nobody was asked, or nobody waited for the answer."""
        if self._leave(era) and self.phase is Phase.PROBING:
            self.phase, self.probe_at = Phase.OPEN, self._clock()

    def succeeded(self, era: int) -> None:
        """The provider answered, be it with a refusal of this one notification."""
        if not self._leave(era):
            return
        match self.phase:
            case Phase.CLOSED:
                self._row = 0
                self._recently.count(self._clock(), failed=False)
            case Phase.PROBING | Phase.RAMPING:
                self._allowed += 1
                self.phase = Phase.RAMPING
                if self._allowed >= self._policy.slots:
                    self._close()
            case Phase.OPEN | Phase.DISABLED:
                pass

    def failed(
        self,
        era: int,
        *,
        misconfigured: bool = False,
        doubtful: bool = False,
        no_sooner_than: float = 0.0,
    ) -> bool:
        """The provider could not be asked, did not answer, or said that it can't.

        Args:
            misconfigured: It refuses us: no use waiting for more of that, unless it took others lately.
            doubtful: It may have been for what it was asked only: another is tried soon.
            no_sooner_than: Seconds for which it wants to be left alone.

        Returns:
            Whether this was news. Where it was known to be down, the notification is not to blame.
        """
        if not (misconfigured or self._policy.failures):
            self.succeeded(era)
            return True
        if not self._leave(era):
            return False
        news = self.healthy
        if self._enough() or (misconfigured and self._sent_nothing_lately()):
            self._open(no_sooner_than, doubtful=doubtful)
        return news

    def hold(self) -> None:
        """Open it until `reset`."""
        self.probe_at = inf
        self._begin(Phase.DISABLED)

    def reset(self) -> None:
        """Close it, and forget what was."""
        self._close()

    def _leave(self, era: int) -> bool:
        """Give the slot back; whether what came of it still says something."""
        self.under_way -= 1
        if era != self._era:
            return False
        if self.phase is not Phase.CLOSED:
            self._inside -= 1
        return True

    def _enough(self) -> bool:
        """Count a failure: does it open the circuit?"""
        match self.phase:
            case Phase.CLOSED:
                self._row += 1
                self._recently.count(self._clock(), failed=True)
                return self._row >= self._policy.failures or self._most_fail()
            case Phase.RAMPING:
                self._allowed //= 2
                return self._allowed < 1
            case Phase.PROBING | Phase.OPEN | Phase.DISABLED:
                return self.phase is Phase.PROBING

    def _sent_nothing_lately(self) -> bool:
        return self.phase is Phase.CLOSED and self._recently.sent == self._recently.failed

    def _most_fail(self) -> bool:
        sent, failed = self._recently.sent, self._recently.failed
        return sent >= self._policy.minimum and failed >= self._policy.share * sent

    def _open(self, no_sooner_than: float, *, doubtful: bool) -> None:
        first = self._policy.probe
        if doubtful:
            interval = first * DOUBTFUL
        else:
            grown = first * min(2.0**self._openings, LONGEST)
            interval = max(grown, min(no_sooner_than, first * LONGEST))
            self._openings = min(self._openings + 1, 20)
        self.probe_at = self._clock() + interval * (1.0 + JITTER * self._jitter())
        self._begin(Phase.OPEN)

    def _close(self) -> None:
        self._openings = 0
        self.probe_at = inf
        self._begin(Phase.CLOSED)

    def _begin(self, phase: Phase) -> None:
        """Another era, where what is under way shall say nothing any more."""
        self._era += phase is not Phase.CLOSED
        self.phase = phase
        self._row = self._inside = 0
        self._allowed = 1
        self._recently.forget()
