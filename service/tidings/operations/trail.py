"""The audit trail: who did what, by command or by API key, and when."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tidings.ledger.notifications.filters import Position
from tidings.ledger.operators.trail import TrailEntry, TrailFilters
from tidings.operations import cursors
from tidings.operations.backend import Backend

__all__ = ["TrailFilters", "TrailRequest", "TrailView", "read"]


@dataclass(frozen=True, slots=True)
class TrailRequest:
    """The newest entries."""

    filters: TrailFilters
    limit: int = 25
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TrailView:
    """Entries, newest first."""

    entries: tuple[TrailEntry, ...]
    next: str | None

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        entries = [
            {
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "note": entry.note or None,
                "details": entry.details,
            }
            for entry in self.entries
        ]
        return {"data": entries, "next_cursor": self.next}


async def read(backend: Backend, request: TrailRequest) -> TrailView:
    """A page of the trail.

    Raises:
        InvalidRequest: The cursor is none, or of a list with other filters.
    """
    after: tuple[datetime, int, int] | None = None
    if request.cursor is not None:
        position = cursors.decode(request.cursor, request.filters)
        after = position.accepted_at, position.id.int >> 64, position.id.int & (1 << 63) - 1
    found = await backend.ledger.trail.page(request.filters, request.limit, after)
    if len(found) < request.limit:
        return TrailView(tuple(found), None)
    last = found[-1]
    position = Position(last.at, UUID(int=last.source << 64 | last.id))
    return TrailView(tuple(found), cursors.encode(position, request.filters))
