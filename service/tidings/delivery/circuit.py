"""Circuit breaker: may a provider be called now, or is it known to be down?

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
"""The longest interval between probes, as a multiple of the first."""


DOUBTFUL: Final = 0.1
"""Share of the first interval before the next probe, if the notification may be at fault: the problem of a single
recipient does not block a provider for long."""


class Phase(StrEnum):
    """The state of a circuit."""

    CLOSED = "closed"
    """All sends pass."""
    OPEN = "open"
    """No send passes until the next probe."""
    PROBING = "probing"
    """One send is under way; its outcome decides."""
    RAMPING = "ramping"
    """A few sends at once, more with each success."""
    DISABLED = "disabled"
    """No send passes: an operator disabled the provider, and has to enable it."""


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When a circuit opens, and how it recovers."""

    failures: int = 10
    """Consecutive failures that open it; 0: only a misconfiguration does."""
    share: float = 0.75
    """Or this share of all sends within `window`…"""
    window: float = 60.0
    """… in seconds …"""
    minimum: int = 20
    """… if there were at least this many."""
    probe: float = 5.0
    """Seconds until the first probe."""
    slots: int = 50
    """Concurrent sends at which it counts as recovered."""


class RecentCounts:
    """Counts sends and failures of about the last `length` seconds, in two halves."""

    __slots__ = ("_before", "_ends", "_failed", "_half", "_now", "_sent")

    def __init__(self, length: float) -> None:
        self._half = length / 2
        self.forget()

    def forget(self) -> None:
        """Reset all counts."""
        self._before = (0, 0)
        self._sent = self._failed = 0
        self._ends = -inf

    def count(self, now: float, *, failed: bool) -> None:
        """Count one send."""
        if now >= self._ends:
            lately = now < self._ends + self._half
            self._before = (self._sent, self._failed) if lately else (0, 0)
            self._sent = self._failed = 0
            self._ends = now + self._half
        self._sent += 1
        self._failed += failed

    @property
    def sent(self) -> int:
        """All sends."""
        return self._before[0] + self._sent

    @property
    def failed(self) -> int:
        """Failed sends."""
        return self._before[1] + self._failed


class Circuit:
    """Decides whether one provider may be called. Pure, except for its clock and jitter.

    A send takes a slot (`enter`) and reports its outcome (`succeeded`, `failed` or `withdrew`) with the era in
    which it entered: a send that began before the circuit opened doesn't show how the provider is now.

    Args:
        clock: Seconds.
        jitter: A number from 0 to 1.
    """

    __slots__ = (
        "_allowed",
        "_clock",
        "_consecutive",
        "_era",
        "_inside",
        "_jitter",
        "_policy",
        "_recent",
        "_times_opened",
        "phase",
        "probe_at",
        "under_way",
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
        self._recent = RecentCounts(policy.window)
        self._era = 1
        self._times_opened = self._consecutive = self._inside = 0
        self._allowed = 1
        self.phase = Phase.CLOSED
        self.probe_at = inf
        self.under_way = 0
        """Slots in use, of all eras."""

    @property
    def healthy(self) -> bool:
        """Whether the provider has answered since the circuit last opened, if it ever did."""
        return self.phase in {Phase.CLOSED, Phase.RAMPING}

    def wait(self) -> float:
        """Seconds until a slot may be free; `inf` if another event has to come first."""
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
        """How many sends may begin now."""
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
        """Take a slot; returns the era to report with, or 0 if no slot is free."""
        if self.phase is not Phase.CLOSED:
            if self.slots < 1:
                return 0
            self._inside += 1
            if self.phase is Phase.OPEN:
                self.phase = Phase.PROBING
        self.under_way += 1
        return self._era

    def withdrew(self, era: int) -> None:
        """No outcome: the provider was not called, or its answer not awaited."""
        if self._leave(era) and self.phase is Phase.PROBING:
            self.phase, self.probe_at = Phase.OPEN, self._clock()

    def succeeded(self, era: int) -> None:
        """The provider answered, even if it refused this notification."""
        if not self._leave(era):
            return
        match self.phase:
            case Phase.CLOSED:
                self._consecutive = 0
                self._recent.count(self._clock(), failed=False)
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
        """The provider was unreachable, did not answer, or reported that it can't deliver.

        Args:
            misconfigured: It refuses us: one failure opens the circuit, unless it accepted others recently.
            doubtful: Only this notification may be affected: the next probe comes soon.
            no_sooner_than: Seconds that the provider asks us to wait.

        Returns:
            Whether this was news. If the provider was known to be down, the notification is not to blame.
        """
        if not (misconfigured or self._policy.failures):
            self.succeeded(era)
            return True
        if not self._leave(era):
            return False
        news = self.healthy
        if self._count_failure() or (misconfigured and self._all_failed_recently()):
            self._open(no_sooner_than, doubtful=doubtful)
        return news

    def hold(self) -> None:
        """Open it until `reset`."""
        self.probe_at = inf
        self._begin(Phase.DISABLED)

    def reset(self) -> None:
        """Close it, and reset all counts."""
        self._close()

    def _leave(self, era: int) -> bool:
        """Release the slot; returns whether the outcome still counts."""
        self.under_way -= 1
        if era != self._era:
            return False
        if self.phase is not Phase.CLOSED:
            self._inside -= 1
        return True

    def _count_failure(self) -> bool:
        """Count a failure; returns whether it opens the circuit."""
        match self.phase:
            case Phase.CLOSED:
                self._consecutive += 1
                self._recent.count(self._clock(), failed=True)
                return self._consecutive >= self._policy.failures or self._most_fail()
            case Phase.RAMPING:
                self._allowed //= 2
                return self._allowed < 1
            case Phase.PROBING | Phase.OPEN | Phase.DISABLED:
                return self.phase is Phase.PROBING

    def _all_failed_recently(self) -> bool:
        return self.phase is Phase.CLOSED and self._recent.sent == self._recent.failed

    def _most_fail(self) -> bool:
        sent, failed = self._recent.sent, self._recent.failed
        return sent >= self._policy.minimum and failed >= self._policy.share * sent

    def _open(self, no_sooner_than: float, *, doubtful: bool) -> None:
        first = self._policy.probe
        if doubtful:
            interval = first * DOUBTFUL
        else:
            grown = first * min(2.0**self._times_opened, LONGEST)
            interval = max(grown, min(no_sooner_than, first * LONGEST))
            self._times_opened = min(self._times_opened + 1, 20)
        self.probe_at = self._clock() + interval * (1.0 + JITTER * self._jitter())
        self._begin(Phase.OPEN)

    def _close(self) -> None:
        self._times_opened = 0
        self.probe_at = inf
        self._begin(Phase.CLOSED)

    def _begin(self, phase: Phase) -> None:
        """Begin a phase, in a new era if outcomes of sends under way no longer count."""
        self._era += phase is not Phase.CLOSED
        self.phase = phase
        self._consecutive = self._inside = 0
        self._allowed = 1
        self._recent.forget()
