"""Tells a notification's story for people: each event in a line, what comes next, and the result in a few words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.operations.notifications import (
    AttemptRow,
    NotificationDetails,
    NotificationSummary,
    NotificationView,
    ProviderAttemptRow,
    Transition,
)
from tidings.operations.times import span, untried

KINDS: Final = {
    State.SENT: "good",
    State.DELIVERED: "good",
    State.BOUNCED: "bad",
    State.FAILED: "bad",
    State.EXPIRED: "bad",
    State.RETRYING: "warn",
    State.UNKNOWN: "warn",
}
"""The colour of an event that leads to a state."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One line of a story."""

    at: datetime
    offset: str
    """Since it was accepted: `+1.2s`."""
    title: str
    kind: str = ""
    """`good`, `bad`, `warn` or empty."""
    error: str = ""
    """The provider's words, or ours."""
    details: tuple[str, ...] = ()
    """Provider, code, duration and so on."""
    by: str = ""
    """A process or a person."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """What happens next, or what a person can do."""

    text: str
    at: datetime | None = None
    """When, if it is known."""
    dead_letter: UUID | None = None
    notification: UUID | None = None
    """The one in whose place this one is not sent."""


def timeline(story: NotificationDetails, now: datetime) -> Iterator[TimelineEvent]:
    """All that happened, oldest first; and the attempt under way."""
    notification = story.notification
    for event in story.timeline:
        if isinstance(event, Transition):
            yield _change(event, notification)
        else:
            yield _attempt(event, story.provider_attempts, notification)
    if notification.state is State.SENDING:
        title = f"attempt {notification.attempt} is in progress{_lease(notification, now)}"
        by = _process(notification.lease_holder or "")
        yield TimelineEvent(now, _offset(now, notification), title, "", by=by)


def _change(change: Transition, notification: NotificationSummary) -> TimelineEvent:
    offset = _offset(change.at, notification)
    if change.before is None or change.before == change.after:
        return TimelineEvent(change.at, offset, change.reason, by=_process(change.actor))
    kind = KINDS.get(State(change.after), "")
    title = f"{change.after}: {change.reason}" if change.reason else change.after
    return TimelineEvent(change.at, offset, title, kind, by=_process(change.actor))


def _attempt(
    attempt: AttemptRow,
    provider_attempts: Sequence[ProviderAttemptRow],
    notification: NotificationSummary,
) -> TimelineEvent:
    kind, offset = KINDS.get(attempt.state, ""), _offset(attempt.started_at, notification)
    by = _process(attempt.worker)
    if attempt.untried:
        title = untried(attempt.attempt - 1)
        return TimelineEvent(attempt.started_at, offset, title, kind, attempt.message or "", by=by)
    epoch = f" of replay {attempt.epoch}" if attempt.epoch else ""
    error = f"{attempt.kind}: {attempt.message}" if attempt.message else ""
    details = [attempt.provider, attempt.code, span(attempt.duration_ms / 1000)]
    if attempt.reference:
        details.append(f"reference {attempt.reference}")
    if attempt.retry_delay:
        details.append(f"retry in {span(attempt.retry_delay)}")
    passed = [
        _provider_attempt(each)
        for each in provider_attempts
        if (each.epoch, each.attempt) == (attempt.epoch, attempt.attempt)
    ]
    if passed:
        details.append(" → ".join(passed))
    if attempt.possible_duplicate:
        details.append("possible duplicate: an earlier attempt may have been delivered")
    title = f"attempt {attempt.attempt}{epoch}: {attempt.state}"
    shown = tuple(part for part in details if part)
    return TimelineEvent(attempt.started_at, offset, title, kind, error, shown, by)


def _provider_attempt(attempt: ProviderAttemptRow) -> str:
    """For example: `primary unavailable 451 (1.2s)`."""
    took = f" ({span(attempt.duration_ms / 1000)})" if attempt.duration_ms else ""
    return f"{attempt.provider} {attempt.kind.replace('_', ' ')} {attempt.code}".rstrip() + took


def _lease(notification: NotificationSummary, now: datetime) -> str:
    if notification.lease_until is None:
        return ""
    if notification.lease_until < now:
        return ": its lease has expired, another worker takes it over"
    return f", for at most {span((notification.lease_until - now).total_seconds())} more"


def _offset(at: datetime, notification: NotificationSummary) -> str:
    return f"+{span(max(0.0, (at - notification.accepted_at).total_seconds()))}"


def _process(actor: str) -> str:
    """Without the delivery that it was about."""
    return actor.split("/", 1)[0]


def coming(view: NotificationView, now: datetime) -> NextEvent | None:
    """What happens next; None if nothing does."""
    notification = view.story.notification
    following: NextEvent | None = None
    match notification.state:
        case State.SCHEDULED:
            due = notification.dispatch_at or notification.scheduled_at
            following = NextEvent("It is published when it is due", due)
        case State.QUEUED:
            following = NextEvent("A worker reads it from its lane and sends it")
        case State.SENDING:
            text = "The attempt ends, and its result is recorded"
            following = NextEvent(text, notification.lease_until)
        case State.RETRYING:
            following = _next_attempt(view, now)
        case State.SUPPRESSED if notification.duplicate_of:
            text = "Not sent: another one has its idempotency key"
            following = NextEvent(text, notification=notification.duplicate_of)
        case State.FAILED | State.EXPIRED | State.UNKNOWN:
            following = _decision(view)
        case State.SENT if notification.reason == Reason.COPIES_REFUSED:
            following = _decision(view)
        case _:
            pass
    return following


def _next_attempt(view: NotificationView, now: datetime) -> NextEvent:
    text = f"Attempt {view.story.notification.attempt + 1}"
    if not view.story.attempts:
        return NextEvent(f"{text}, when its channel is available again")
    last = view.story.attempts[-1]
    wait = last.duration_ms / 1000 + (last.retry_delay or 0)
    due = last.started_at + timedelta(seconds=wait)
    if due > now:
        return NextEvent(text, due)
    if view.postponed_at is not None:
        return NextEvent(f"{text}; postponed, waiting in a retry queue or in its lane")
    return NextEvent(f"{text}, when a worker reads it from its lane")


def _decision(view: NotificationView) -> NextEvent:
    if view.dead_letter is None or view.remedy is None:
        return NextEvent("Nothing: its dead letter is not archived yet, or no longer open")
    return NextEvent("Its dead letter waits for a decision", dead_letter=view.dead_letter)


def result(notification: NotificationSummary) -> str:
    """How it stands, in a few words: provider and code, or why not."""
    if notification.failure_message or notification.failure_kind:
        parts = (notification.failure_kind, notification.failure_code, notification.failure_message)
        return " · ".join(part for part in parts if part)
    if notification.state in {State.SENT, State.DELIVERED}:
        return notification.provider or ""
    return notification.reason or ""
