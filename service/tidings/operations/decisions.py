"""Why a notification went out, did not, or waits: the decision and its rule, from what is stored."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from tidings.delivery.states import FINISHED, State
from tidings.ledger.notifications.details import NotificationDetails
from tidings.operations import notifications
from tidings.operations.backend import Backend
from tidings.operations.json_views import renamed
from tidings.operations.masks import discreet
from tidings.operations.notifications import NotificationView, ShowRequest


class Disposition(StrEnum):
    """What was decided."""

    SEND = "send"
    """It went, or goes, to its provider."""
    SKIP = "skip"
    """Nothing is sent."""
    DEFER = "defer"
    """It is sent later."""


@dataclass(frozen=True, slots=True)
class DeliveryDecision:
    """What was decided, and the rule that decided."""

    decision: Disposition
    rule: str
    """One word for programs, e.g. `schedule`, `idempotency_key`, `retry_policy`, `exhausted`."""
    explanation: str
    """The same for people."""
    at: datetime | None = None
    """When it was decided; None if it still may change."""
    by: str | None = None
    """Who decided: a process, a person, a key."""
    until: datetime | None = None
    """When it is sent, if it is known."""
    related: UUID | None = None
    """The notification that this one repeats."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return renamed(self, _NAMES)


_NAMES: Final = {
    "at": "decided_at",
    "by": "decided_by",
    "until": "due_at",
    "related": "duplicate_of",
}
"""Names in JSON."""


@dataclass(frozen=True, slots=True)
class WhyView:
    """A notification's decision."""

    id: UUID
    state: State | None
    """None: its message never became a notification."""
    decision: DeliveryDecision

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"id": self.id, "state": self.state, **self.decision.as_data()}


async def why(backend: Backend, request: ShowRequest) -> WhyView:
    """The decision about one notification.

    Raises:
        NotFound: It is not known.
        Refused: There are several.
    """
    view = await notifications.show(backend, request)
    if isinstance(view, NotificationView):
        decision = decided(view.story, datetime.now(UTC), view.waiting_reason)
        if view.inbox is not None:
            text = f"it was delivered to its user's inbox, and is {view.inbox.state} there"
            decision = replace(decision, explanation=text)
        return WhyView(view.story.notification.id, view.story.notification.state, decision)
    [*_, last] = (shown.dead_letter for shown in view.dead_letters)
    explanation = f"its message became a dead letter: {discreet(last.message)}"
    decision = DeliveryDecision(Disposition.SKIP, last.reason, explanation, last.dead_lettered_at)
    return WhyView(last.notification_id or last.id, None, decision)


def decided(story: NotificationDetails, now: datetime, waits: str = "") -> DeliveryDecision:
    """What its row and its history say. Pure.

    Args:
        waits: Why it waits in its lane, if that is known.
    """
    last = story.history[-1] if story.history else None
    decision = (
        _skipped(story) if story.notification.state in _SKIPPED else _under_way(story, now, waits)
    )
    if last is None:
        return decision
    return replace(decision, at=decision.at or last.at, by=last.actor)


_SKIPPED: Final = FINISHED - {State.SENT, State.DELIVERED, State.BOUNCED}


def _under_way(story: NotificationDetails, now: datetime, waits: str) -> DeliveryDecision:
    """Of one that is sent or will be."""
    notification = story.notification
    due = notification.dispatch_at or notification.scheduled_at
    match notification.state:
        case State.SCHEDULED:
            return DeliveryDecision(Disposition.DEFER, "schedule", "it is scheduled", until=due)
        case State.QUEUED if due is not None and due > now and notification.scheduled_at:
            return DeliveryDecision(Disposition.DEFER, "schedule", "it is scheduled", until=due)
        case State.QUEUED:
            return DeliveryDecision(
                Disposition.DEFER, "lane", waits or "it waits in its lane for a worker"
            )
        case State.RETRYING:
            return _retrying(story)
        case State.SENDING:
            return DeliveryDecision(Disposition.SEND, "claim", "a worker is sending it")
        case _:
            return _sent(story)


def _skipped(story: NotificationDetails) -> DeliveryDecision:
    """Of one that ended without being sent."""
    notification = story.notification
    note = discreet(story.history[-1].reason) if story.history else ""
    match notification.state:
        case State.SUPPRESSED:
            text = "another notification with its idempotency key was first"
            first = notification.duplicate_of
            return DeliveryDecision(Disposition.SKIP, "idempotency_key", text, related=first)
        case State.CANCELLED | State.DISCARDED as state:
            text = f"it was {state}: {note}" if note else f"it was {state}"
            return DeliveryDecision(Disposition.SKIP, str(state), text)
        case State.EXPIRED:
            text = f"it was not delivered before {notification.expires_at or 'its time was up'}"
            return DeliveryDecision(Disposition.SKIP, "expires_at", text)
        case _:
            rule = notification.reason or str(notification.state)
            return DeliveryDecision(Disposition.SKIP, rule, _failure(story))


def _retrying(story: NotificationDetails) -> DeliveryDecision:
    delay = story.attempts[-1].retry_delay if story.attempts else None
    until = story.notification.updated_at + timedelta(seconds=delay) if delay else None
    text = f"attempt {story.notification.attempt} failed: {_failure(story)}"
    return DeliveryDecision(Disposition.DEFER, "retry_policy", text, until=until)


def _sent(story: NotificationDetails) -> DeliveryDecision:
    notification = story.notification
    text = f"it was accepted by {notification.provider or 'its provider'}"
    if notification.reason:
        text += f", but not for all copies ({notification.reason})"
    return DeliveryDecision(
        Disposition.SEND, notification.reason or "accepted", text, notification.finished_at
    )


def _failure(story: NotificationDetails) -> str:
    notification = story.notification
    parts = (
        notification.failure_kind,
        notification.failure_code,
        discreet(notification.failure_message or ""),
    )
    return " · ".join(part for part in parts if part) or "its error is not known"
