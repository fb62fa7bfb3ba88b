"""Is anything wrong? All numbers of one screen, and what needs attention; a server that is away leaves the rest."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable
from tidings.operations import attention, dispatching
from tidings.operations.attention import Attention
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.lookup import DeadLetterGroupView, groups
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dispatching import DispatchingView
from tidings.operations.statistics import StatisticsRequest, StatisticsView, look

__all__ = ["Attention", "OverviewView", "see", "see_soon"]

LARGEST: Final = 8
"""Groups of open dead letters that are shown."""
GOOD_ENOUGH: Final = 10.0
"""Seconds for which the last view is good enough while a new one takes its time."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class OverviewView:
    """The service at one moment; what is None is not known, for its server is unavailable, or not for one tenant."""

    numbers: StatisticsView
    groups: Sequence[DeadLetterGroupView] | None
    """The largest groups of open dead letters, each with its trend of the last day."""
    dispatching: DispatchingView | None
    targets: Mapping[str, float]
    """Seconds, by category, within which 95 of 100 should be sent."""
    attention: Sequence[Attention]
    """What is wrong, worst first."""
    at: datetime
    """When it was begun to look."""
    searched_since: datetime | None = None
    """Dead letters that came before are not counted in `groups`: tests, of which there are very many; None: all are."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        known = self.numbers.statistics.categories if self.numbers.statistics else {}
        return {
            "concerns": [
                {
                    "level": each.level,
                    "subject": each.subject,
                    "name": each.name or None,
                    "text": each.text,
                }
                for each in self.attention
            ],
            "statistics": self.numbers,
            "targets": [
                {
                    "category": category,
                    "target_seconds": target,
                    "p95_seconds": known[category].p95 if category in known else None,
                }
                for category, target in self.targets.items()
            ],
            "groups": self.groups,
            "searched_since": self.searched_since,
            "scheduler": self.dispatching,
        }


async def see(backend: Backend, request: StatisticsRequest) -> OverviewView:
    """Look at everything at once.

    What concerns all tenants is left out if the request has no `queues`. Raises like `statistics.look`.
    """
    at, choice = datetime.now(UTC), request.choice
    query = DeadLetterQuery.read(tenant=choice.tenant, test=choice.test)
    numbers, open_groups, scheduling = await asyncio.gather(
        look(backend, request),
        _if_available(groups(backend, query, LARGEST, patience=0)),
        _if_available(dispatching.show(backend)) if request.queues else _nothing(),
    )
    found = None if open_groups is None else open_groups.data
    counted_since = None if open_groups is None else open_groups.searched_since
    categories = backend.settings.worker.categories
    targets = {name: each.target for name, each in categories.items() if each.target is not None}
    seen = attention.found(
        numbers, found, scheduling, targets, all_tenants=request.queues and not choice.test
    )
    return OverviewView(numbers, found, scheduling, targets, seen, at, counted_since)


async def see_soon(backend: Backend, request: StatisticsRequest, patience: float) -> OverviewView:
    """The same, or the view of a moment ago if PostgreSQL is busy; `at` says of when.

    Args:
        backend: The connections.
        request: Of a period until now; all who want one of that length share it.
        patience: Seconds to wait if there is a view of a moment ago.
    """
    length = round((datetime.now(UTC) - request.since).total_seconds() / 60)
    wanted = (length, request.choice, request.queues, request.details)
    shared = backend.overviews.at(wanted, kept=0.0)
    return await shared.soon(partial(see, backend, request), patience, GOOD_ENOUGH)


async def _if_available(part: Awaitable[Value]) -> Value | None:
    """A part of the overview; None if its server is unavailable, which `StatisticsView.errors` tells."""
    try:
        return await part
    except (BrokerUnavailable, LedgerUnavailable):
        return None


async def _nothing() -> None:
    return None
