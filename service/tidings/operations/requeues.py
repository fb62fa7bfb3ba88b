"""Requeues notifications whose message was lost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.states import State
from tidings.ledger.notifications.requeue import Stranded
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend

__all__ = ["STATES", "RequeueRequest", "RequeueView", "Stranded", "requeue"]

STATES: Final = (
    *(State.QUEUED, State.RETRYING, State.SENDING),
    *(State.FAILED, State.EXPIRED, State.UNKNOWN),
)
"""States that wait for a message, or for its dead letter."""


@dataclass(frozen=True, slots=True)
class RequeueRequest:
    """Notifications to be published again: those named, or those that match."""

    ids: Sequence[IdPrefix] = ()
    states: Sequence[State] = ()
    """Any that waits, if none is given."""
    channel: str | None = None
    tenant: str | None = None
    overdue: float | None = None
    """Seconds by which their message is late; as the settings say if None."""
    limit: int = 10_000
    full_scan: bool = False
    """Look through all notifications, not only for a moment among the newest."""
    note: str = ""
    """Kept in their history."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RequeueView:
    """Notifications that were, or would be, published again."""

    requeued: Sequence[Stranded]
    refused: dict[str, str]
    """By id, why not."""
    searched_since: datetime | None = None
    """Notifications accepted earlier were not searched; None if all were."""
    dry_run: bool = False

    @property
    def counts(self) -> str:
        """`2 (1 queued, 1 retrying)`; empty for none."""
        states = Counter(notification.state.value for notification in self.requeued)
        each = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"{len(self.requeued)} ({each})" if each else ""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "dry_run": self.dry_run,
            "requeued": [
                {"id": notification.id, "state": notification.state}
                for notification in self.requeued
            ],
            "refused": self.refused,
            "searched_since": self.searched_since,
        }


async def requeue(backend: Backend, actor: Actor, request: RequeueRequest) -> RequeueView:
    """Have notifications published again whose message was lost.

    A message that was not lost after all does no harm: whichever comes second is recognised and dropped. What
    ended and has no dead letter gets one.

    Raises:
        InvalidRequest: One of the states waits for no message.
    """
    if wrong := [state for state in request.states if state not in STATES]:
        raise InvalidRequest(f"{wrong[0]} notifications wait for no message", field="states")
    chosen = await (_named(backend, request) if request.ids else _matching(backend, request))
    if request.dry_run:
        return chosen
    why = f"by hand: {note}" if (note := request.note.strip()) else "by hand"
    requeues = backend.ledger.requeues
    requeued = await requeues.requeue(chosen.requeued, actor=str(actor), why=why)
    moved_on = {notification.id for notification in chosen.requeued} - {
        notification.id for notification in requeued
    }
    changed = dict.fromkeys(map(str, moved_on), "its state has just changed")
    refused = chosen.refused | (changed if request.ids else {})
    return RequeueView(requeued, refused, chosen.searched_since)


async def _matching(backend: Backend, request: RequeueRequest) -> RequeueView:
    requeues, limit, dry_run = backend.ledger.requeues, request.limit, request.dry_run
    states = request.states or STATES
    late = requeues.after if request.overdue is None else request.overdue
    if request.full_scan:
        every = await requeues.select(states, request.channel, late, limit, tenant=request.tenant)
        return RequeueView(every, {}, dry_run=dry_run)
    newest = await requeues.select_newest(
        states, request.channel, late, limit, tenant=request.tenant
    )
    return RequeueView(newest.found, {}, newest.searched_since, dry_run)


async def _named(backend: Backend, request: RequeueRequest) -> RequeueView:
    found = [(prefix, await backend.ledger.reports.find(prefix)) for prefix in request.ids]
    ids = [id_ for _, id_ in found if id_ is not None]
    known = await backend.ledger.requeues.look_up(ids)
    refused = {
        str(prefix.lowest) if prefix.whole else prefix.text: "there is no such notification"
        for prefix, id_ in found
        if id_ is None
    }
    refused |= {
        str(candidate.stranded.id): candidate.refusal
        for candidate in known
        if candidate.refusal is not None
    }
    requeued = [candidate.stranded for candidate in known if candidate.refusal is None]
    return RequeueView(requeued, refused, dry_run=request.dry_run)
