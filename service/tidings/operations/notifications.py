"""Notifications: one called off."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.states import State
from tidings.ledger.notifications.changes import Cancelled
from tidings.operations import waiting
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A notification to be called off."""

    id: IdPrefix
    why: str
    """Kept in its history."""


@dataclass(frozen=True, slots=True)
class CancelView:
    """A notification that was called off."""

    id: UUID
    cancelled: Cancelled

    def as_data(self) -> dict[str, Any]:
        """For other programs."""
        return {"id": self.id, "state": State.CANCELLED, **asdict(self.cancelled)}


async def cancel(backend: Backend, actor: Actor, request: CancelRequest) -> CancelView:
    """Call off a notification that is scheduled, waiting, or between two attempts.

    Raises:
        InvalidRequest: No reason is given.
        Refused: It is not known, is being sent, or has ended; says which.
    """
    if not (why := request.why.strip()):
        raise InvalidRequest("it is empty; say why, in a few words", field="why")
    found = await backend.ledger.reports.find(request.id)
    if found is None:
        raise Refused(await waiting.unknown(backend))
    cancelled = await backend.ledger.changes.cancel(found, actor=str(actor), reason=why)
    return CancelView(found, cancelled)
