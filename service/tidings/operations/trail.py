"""The audit trail: who did what, by command or by API key, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from tidings.ledger.operators.trail import TrailEntry, TrailFilters, TrailPlace
from tidings.ledger.positions import Position
from tidings.operations import cursors
from tidings.operations.backend import Backend
from tidings.operations.pages import PageView, page_of

__all__ = ["TrailEntryView", "TrailFilters", "TrailPageView", "TrailRequest", "read"]


@dataclass(frozen=True, slots=True)
class TrailRequest:
    """The newest entries."""

    filters: TrailFilters
    limit: int = 25
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TrailEntryView:
    """One action."""

    at: datetime
    actor: str
    action: str
    note: str | None
    details: Mapping[str, Any]

    @classmethod
    def of(cls, entry: TrailEntry) -> Self:
        """What is shown of a stored one."""
        return cls(entry.at, entry.actor, entry.action, entry.note or None, entry.details)


@dataclass(frozen=True, slots=True)
class TrailPageView(PageView[TrailEntryView]):
    """A page of the trail."""

    searched_since: datetime | None = None
    """Older ones were not looked at yet; None if the page is full, or the end was reached."""


async def read(backend: Backend, request: TrailRequest) -> TrailPageView:
    """A page of the trail; one of an actor who did little may be short, and lead on.

    Raises:
        InvalidRequest: The cursor is none, or of a list with other filters.
    """
    after: TrailPlace | None = None
    if request.cursor is not None:
        at, id_ = cursors.decode(request.cursor, request.filters, cursors.position)
        after = at, id_.int >> 64, id_.int & (1 << 63) - 1
    found = await backend.ledger.trail.page(request.filters, request.limit + 1, after)

    def cursor(at: datetime, source: int, id_: int) -> str:
        return cursors.encode(Position(at, UUID(int=source << 64 | id_)), request.filters)

    page = page_of(
        found.entries,
        request.limit,
        TrailEntryView.of,
        lambda last: cursor(last.at, last.source, last.id),
    )
    if found.searched_until is None or page.next_cursor is not None:
        return TrailPageView(page.data, page.next_cursor)
    return TrailPageView(page.data, cursor(*found.searched_until), found.searched_until[0])
