"""What became of replayed dead letters. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from tidings.delivery.states import State

DELIVERED: Final = frozenset({State.SENT, State.DELIVERED})
FAILED: Final = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN, State.BOUNCED})
WAITING: Final = frozenset({State.QUEUED, State.SENDING})


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many notifications of a replay stand how."""

    delivered: int = 0
    failed: int = 0
    """Ended again as they had before."""
    retrying: int = 0
    """Failed at least once more, and are tried again."""
    waiting: int = 0
    """In their lanes, or being sent."""
    other: int = 0
    """Cancelled, suppressed, scheduled for later: nothing to wait for."""

    @classmethod
    def of(cls, counts: Mapping[State, int] | Mapping[str, int]) -> Self:
        """Sum up states."""
        retrying = counts.get(State.RETRYING, 0)
        delivered, failed, waiting = (
            sum(counts.get(state, 0) for state in group) for group in (DELIVERED, FAILED, WAITING)
        )
        other = sum(counts.values()) - delivered - failed - waiting - retrying
        return cls(delivered, failed, retrying, waiting, other)

    @property
    def total(self) -> int:
        """All of them."""
        return self.settled + self.waiting

    @property
    def settled(self) -> int:
        """Those that were tried, or need not be."""
        return self.delivered + self.failed + self.retrying + self.other

    @property
    def trouble(self) -> int:
        """Those that failed again at least once."""
        return self.failed + self.retrying
