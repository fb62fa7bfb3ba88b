"""One wide log line per attempt, or per notification that expired before one."""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from tidings.delivery.attempt import Attempt
from tidings.delivery.masking import mask
from tidings.delivery.outcome import Failure, Outcome, Released, RetryLater, Sent, Undeliverable

log: Final = structlog.get_logger(__name__)


def log_attempt(
    attempt: Attempt, outcome: Outcome | Released, *, duration: float, possible_duplicate: bool
) -> None:
    """Log the outcome of an attempt: at `info`, or at `warning` if there will be no further attempt and it is no test.

    Costs nothing if that level is not logged.

    Args:
        attempt: The attempt that has just ended.
        outcome: Its result.
        duration: Its seconds.
        possible_duplicate: Whether an earlier worker may have sent it already.
    """
    ended = isinstance(outcome, Undeliverable | Released) and not attempt.notification.test
    level = logging.WARNING if ended else logging.INFO
    if log.is_enabled_for(level):
        untried = isinstance(outcome, Undeliverable) and outcome.untried
        fields = _fields(attempt, outcome, duration, possible_duplicate)
        if untried:
            fields["attempt"] -= 1  # the last that called a provider
        log.log(level, "expired before an attempt" if untried else "attempt", **fields)


def _fields(
    attempt: Attempt, outcome: Outcome | Released, duration: float, possible_duplicate: bool
) -> dict[str, Any]:
    notification = attempt.notification
    age = (datetime.now(UTC) - attempt.first_seen).total_seconds()
    fields: dict[str, Any] = {
        "id": str(attempt.id),
        "channel": attempt.lane.channel,
        "priority": attempt.lane.priority,
        "tenant": notification.tenant,
        "category": notification.category,
        "recipient": mask(str(notification.recipient)),
        "epoch": attempt.epoch,
        "attempt": attempt.number,
        **_outcome_fields(outcome),
        "duration_ms": round(duration * 1000, 1),
        "queued_ms": round(max(0.0, age - duration) * 1000, 1),
        "possible_duplicate": possible_duplicate,
    }
    if notification.test:
        fields["test"] = True
    if notification.entity is not None:
        fields["entity"] = f"{notification.entity.type}:{notification.entity.id}"
    if trace_id := trace_id_of(attempt.traceparent):
        fields["trace_id"] = trace_id
    return fields


def _outcome_fields(outcome: Outcome | Released) -> dict[str, Any]:
    match outcome:
        case Sent(provider=provider, reference=reference, code=code):
            return {"outcome": "sent", "provider": provider, "code": code, "reference": reference}
        case RetryLater(failure=failure, delay=delay):
            return {"outcome": "retry_later", **_failed(failure), "retry_in": delay.name}
        case Undeliverable(reason=reason, failure=failure):
            return {"outcome": reason.value, **_failed(failure)}
        case Released(failure=failure):
            return {"outcome": "released", **_failed(failure)}


def _failed(failure: Failure) -> dict[str, Any]:
    return {
        "provider": failure.provider,
        "code": failure.code,
        "error_kind": failure.kind,
        "error": failure.message,
        **({"suppress": failure.suppress} if failure.suppress else {}),
    }


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id in a W3C `traceparent`; None if it has none."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None
