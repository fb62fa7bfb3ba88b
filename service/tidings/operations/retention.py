"""Retention: what is kept for how long, and a round of deleting what is over."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from tidings.ledger.retention import Done, Place
from tidings.operations.backend import Backend

__all__ = ["Done", "Place", "RehearsedPlace", "RetentionView", "rehearse", "run", "show"]


@dataclass(frozen=True, slots=True)
class RetentionView:
    """Periods in seconds, 0 for ever; and where notifications are."""

    period: float
    by_state: dict[str, float]
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class RehearsedPlace:
    """What a round would do with a week, or the default partition."""

    name: str
    stored: int
    deleted: int
    """Notifications that go: with their week, or row by row."""
    dropped: bool
    """Whether the whole week goes, and what is left of it moves to the default partition."""

    def as_data(self) -> dict[str, object]:
        """For other programs."""
        return asdict(self)


async def show(backend: Backend) -> RetentionView:
    """What is kept for how long, and when each week goes."""
    periods = backend.ledger.retention.periods
    return RetentionView(
        periods.usual, dict(periods.by_state), await backend.ledger.retention.places()
    )


async def rehearse(backend: Backend) -> Sequence[RehearsedPlace]:
    """What a round would delete now; reads every notification."""
    retention, today = backend.ledger.retention, datetime.now(UTC).date()
    counts = await retention.counts()
    return [
        RehearsedPlace(
            one.name,
            counts[one.name].stored,
            counts[one.name].over,
            one.drops_at is not None and one.drops_at <= today,
        )
        for one in await retention.places()
        if one.name in counts
    ]


async def run(backend: Backend) -> Sequence[Done]:
    """One round, now; nothing if a scheduler is at it.

    Raises:
        LedgerUnavailable: A table was in use for too long: ask again.
        ConfigurationError: The database's user may not.
    """
    return [done async for done in backend.ledger.retention.run(datetime.now(UTC).date())]
