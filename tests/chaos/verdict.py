"""What a run promises, and what the checker says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

USUAL_END: Final[Mapping[str, frozenset[str]]] = {
    "plain": frozenset({"sent"}),
    "busy": frozenset({"sent"}),
    "lost": frozenset({"sent"}),
    "scheduled": frozenset({"sent", "cancelled"}),
    "reject": frozenset({"failed", "unknown"}),
    "late": frozenset({"expired", "failed", "unknown"}),
    "brief": frozenset({"sent", "expired", "unknown"}),
    "never": frozenset({"failed", "unknown"}),
    "full": frozenset({"failed", "unknown"}),
    "ghost": frozenset({"failed", "unknown"}),
    "foreign": frozenset({"failed", "unknown"}),
    "twin": frozenset({"sent", "suppressed"}),
    "sms": frozenset({"sent", "unknown"}),
    "sms-lost": frozenset({"unknown"}),
    "sms-reject": frozenset({"failed", "unknown"}),
    "in_app": frozenset({"sent"}),
    "in_app-brief": frozenset({"sent", "expired", "unknown"}),
}
"""By kind, how a notification may end where a scenario doesn't say otherwise. What is given up after a worker
died while sending it is `unknown`, whatever the provider says then."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a scenario promises beyond the usual."""

    ends: Mapping[str, frozenset[str]] = field(default_factory=lambda: USUAL_END)
    duplicates: int | None = None
    """Most that may have come twice; what was in flight at the faults where None."""
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """Dead letters that belong to no confirmed notification, by reason: poison, for instance."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    """C, F, D, P or M."""
    what: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found."""

    violations: tuple[Violation, ...]
    confirmed: int
    ends: Mapping[str, int]
    sends: int
    """Messages the sink took."""
    duplicates: int
    in_flight: int
    marked: int
    """Attempts that the ledger itself marks as possibly the second of their kind."""
    slowest_recovery: float
    peak: int = 0
    """Bytes that a process took at most."""

    @property
    def lost(self) -> int:
        """Confirmed, and nowhere or never finished."""
        return sum(violation.count for violation in self.violations if violation.invariant in "CF")

    @property
    def passed(self) -> bool:
        """Whether every invariant holds."""
        return not self.violations
