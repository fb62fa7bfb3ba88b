"""Notifications that are scheduled: one given another due time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tidings.delivery.errors import NotFound
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.local_time import LocalTime
from tidings.delivery.states import State
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.notifications.changes import ChangedSince, Rescheduled
from tidings.operations import waiting
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.body import with_fields
from tidings.operations.due_times import due_time

__all__ = ["ChangedSince", "RescheduleRequest", "RescheduleView", "reschedule"]


@dataclass(frozen=True, slots=True)
class RescheduleRequest:
    """A notification, and when it is to be sent instead."""

    id: IdPrefix
    scheduled_at: str
    """With an offset, or without one beside `timezone`."""
    timezone: str | None = None
    note: str = ""
    """Kept in its history."""
    tenant: str | None = None
    """Only if it is this tenant's."""
    unless_changed_since: datetime | None = None
    """Its `updated_at`, as the caller has read it: refused if it has changed since."""


@dataclass(frozen=True, slots=True)
class RescheduleView:
    """A notification with another due time."""

    id: UUID
    chosen: LocalTime
    rescheduled: Rescheduled

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "id": self.id,
            "state": State.SCHEDULED,
            **self.chosen.as_data(),
            "previous_scheduled_at": self.rescheduled.previously,
            "expires_at": self.rescheduled.expires_at,
            "updated_at": self.rescheduled.updated_at,
        }


async def reschedule(backend: Backend, actor: Actor, request: RescheduleRequest) -> RescheduleView:
    """Give a notification another due time. One that is dispatched already is refused.

    Raises:
        InvalidRequest: The time is none, has passed, is more than a year ahead, or not before it expires.
        ChangedSince: It was changed after the caller had read it.
        NotFound: It is not known.
        Refused: It has been dispatched; says its state.
    """
    chosen = due_time(request.scheduled_at, request.timezone)
    found = await backend.ledger.reports.find(request.id)
    if found is None:
        if request.tenant is not None:
            raise NotFound(f"there is no notification {request.id.text}")
        raise NotFound(await waiting.unknown(backend))
    written = f'scheduled_at="{chosen.at.isoformat()}"'
    rescheduled = await backend.ledger.changes.reschedule(
        found,
        chosen.at,
        write=lambda body: with_fields(body, [written]),
        expires_at=Policies(backend.settings).expires_at,
        actor=str(actor),
        note=request.note.strip(),
        tenant=request.tenant,
        unless_changed_since=request.unless_changed_since,
    )
    return RescheduleView(found, chosen, rescheduled)
