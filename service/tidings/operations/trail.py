"""The audit trail: who did what, by command or by API key, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from tidings.ledger.operators.trail import TrailEntry, TrailFilters
from tidings.ledger.positions import Position
from tidings.operations import cursors
from tidings.operations.backend import Backend
from tidings.operations.pages import PageView, page_of

__all__ = ["TrailEntryView", "TrailFilters", "TrailRequest", "read"]


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


async def read(backend: Backend, request: TrailRequest) -> PageView[TrailEntryView]:
    """A page of the trail.

    Raises:
        InvalidRequest: The cursor is none, or of a list with other filters.
    """
    after: tuple[datetime, int, int] | None = None
    if request.cursor is not None:
        at, id_ = cursors.decode(request.cursor, request.filters, cursors.position)
        after = at, id_.int >> 64, id_.int & (1 << 63) - 1
    found = await backend.ledger.trail.page(request.filters, request.limit + 1, after)

    def cursor(last: TrailEntry) -> str:
        place = Position(last.at, UUID(int=last.source << 64 | last.id))
        return cursors.encode(place, request.filters)

    return page_of(found, request.limit, TrailEntryView.of, cursor)
