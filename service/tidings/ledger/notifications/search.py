"""Lists notifications newest first, and reads no more of a large ledger than it says."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tidings.delivery.states import State
from tidings.ledger.database import Connection
from tidings.ledger.notifications.details import NotificationSummary
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.positions import Position
from tidings.ledger.steps import PATIENCE, TimeLimit, steps

_SUMMARY: Final = ", ".join(field.name for field in fields(NotificationSummary))
_TICK: Final = timedelta(microseconds=1)
LOWEST: Final = UUID(int=0)
SCATTER: Final = 10
"""How many times fewer notifications are in a step by an index, which may be scattered over the table."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a ledger a list may read."""

    patience: float = PATIENCE
    """Seconds, about, after which no further step is begun."""
    step: int | None = None
    """Notifications in a step, where no index leads to those that match."""


DEFAULT_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Page:
    """Notifications, newest first."""

    found: tuple[NotificationSummary, ...]
    searched_since: datetime | None = None
    """There may be more that were accepted before: it would have taken too long to look. None where there is no
    more to look through, or as many were found as were wanted."""

    def next(self, limit: int) -> Position | None:
        """Where the list goes on; None at its end."""
        if self.searched_since is not None:
            return Position(self.searched_since, LOWEST)
        if len(self.found) < limit:
            return None
        return Position(self.found[-1].accepted_at, self.found[-1].id)


async def page(
    connection: Connection,
    filters: Filters,
    limit: int,
    after: Position | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Page:
    """The newest that match, behind a position where one is given."""
    clock = TimeLimit(bounds.patience)
    pages = [
        await _page(connection, each, limit, after, bounds, clock) for each in filters.one_by_one()
    ]
    if len(pages) == 1:
        return pages[0]
    return merged(pages, limit)


def merged(pages: Sequence[Page], limit: int) -> Page:
    """The newest of several pages, as far back as all of them have looked."""
    found = {summary.id: summary for page in pages for summary in page.found}
    newest = sorted(found.values(), key=lambda it: (it.accepted_at, it.id), reverse=True)
    reached = max((page.searched_since for page in pages if page.searched_since), default=None)
    if reached is not None:
        newest = [summary for summary in newest if summary.accepted_at >= reached]
    if len(newest) >= limit:
        return Page(tuple(newest[:limit]))
    return Page(tuple(newest), reached)


async def _page(
    connection: Connection,
    filters: Filters,
    limit: int,
    after: Position | None,
    bounds: Bounds,
    clock: TimeLimit,
) -> Page:
    if filters.indexed:
        return Page(
            await _matching(connection, filters, limit, after, filters.since, filters.until)
        )
    found = list[NotificationSummary]()
    newest = _beginning(filters, after)
    among, values = filters.path
    size = bounds.step if among is None or bounds.step is None else bounds.step // SCATTER
    async for since, until in steps(connection, filters.since, newest, among, *values, size=size):
        found += await _matching(
            connection,
            filters,
            limit - len(found),
            after,
            since or filters.since,
            until or filters.until,
        )
        if len(found) == limit:
            break
        if since != filters.since and clock.over:
            return Page(tuple(found), since)
    return Page(tuple(found))


def _beginning(filters: Filters, after: Position | None) -> datetime | None:
    """Before when the newest that may match were accepted."""
    behind = after.at + _TICK if after is not None else None
    moments = [bound for bound in (behind, filters.until) if bound is not None]
    return min(moments, default=None)


async def _matching(
    connection: Connection,
    filters: Filters,
    limit: int,
    after: Position | None,
    since: datetime | None,
    until: datetime | None,
) -> tuple[NotificationSummary, ...]:
    where, values = conditions(filters, after, since, until)
    statement = f"""
    SELECT {_SUMMARY} FROM notifications n
     WHERE {where}
     ORDER BY accepted_at DESC, id DESC LIMIT ${len(values) + 1}
    """
    rows = await connection.fetch(statement, *values, limit)
    return tuple(summary(dict(row)) for row in rows)


def summary(values: dict[str, Any]) -> NotificationSummary:
    """Read the columns of a `NotificationSummary`."""
    return NotificationSummary(**{**values, "state": State(values["state"])})


def conditions(
    filters: Filters, after: Position | None, since: datetime | None, until: datetime | None
) -> tuple[str, Sequence[object]]:
    """A WHERE clause and its parameters."""
    given = list(filters.conditions())
    if since is not None:
        given.append(("n.accepted_at >= {}", (since,)))
    if until is not None:
        given.append(("n.accepted_at < {}", (until,)))
    if after is not None:
        given.append(("(n.accepted_at, n.id) < ({}, {})", after))
    texts: list[str] = []
    values: list[object] = []
    for condition, operands in given:
        first = len(values) + 1
        texts.append(condition.format(*(f"${first + place}" for place in range(len(operands)))))
        values += operands
    return " AND ".join(texts) or "true", values
