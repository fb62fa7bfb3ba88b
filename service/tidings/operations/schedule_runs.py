"""The last runs of a schedule by time, and what became of their notifications."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tidings.delivery.states import State
from tidings.ledger.schedules.rows import Schedule
from tidings.operations.backend import Backend

LATEST: Final = 10
"""Times that are looked at."""


@dataclass(frozen=True, slots=True)
class PastRunView:
    """A run by time."""

    due_at: datetime
    states: Mapping[State, int]
    """Its notifications by state; those past their retention are gone."""

    @property
    def notifications(self) -> int:
        """How many there are."""
        return sum(self.states.values())

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "due_at": self.due_at,
            "notification_count": self.notifications,
            "states": dict(self.states),
        }


async def past(backend: Backend, schedule: Schedule) -> Sequence[PastRunView]:
    """The last runs by time, newest first; a time at which nothing was sent is left out.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    if schedule.timing is None:
        return ()
    times = schedule.timing.latest(datetime.now(UTC), schedule.created_at, LATEST)
    counts = await backend.ledger.schedules.past.counts(schedule, times)
    return [PastRunView(due, counts[due]) for due in reversed(times) if due in counts]
