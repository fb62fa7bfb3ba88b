"""One log line per dead letter, without personal data."""

import logging
from typing import Any, Final

import structlog

from tidings.delivery.dead_letter import DeadLetterState, Origin
from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings.ledger.dead_letters.rows import DeadLetterEntry

log = structlog.get_logger(__name__)

QUOTING: Final = frozenset({MalformedNotification.kind, Misrouted.kind})
"""Errors that quote the message; so do those of dead letters that no worker published."""


def log_dead_letter(entry: DeadLetterEntry) -> bool:
    """Log a dead letter that was just stored; whether it is open."""
    if entry.state is DeadLetterState.OPEN:
        level = logging.INFO if entry.dead_letter.search_fields.test else logging.WARNING
        log.log(level, "dead letter archived", **_fields(entry))
        return True
    log.info("dead letter closed on arrival", **_fields(entry), note=entry.note)
    return False


def _fields(entry: DeadLetterEntry) -> dict[str, Any]:
    dead_letter, failure = entry.dead_letter, entry.dead_letter.failure
    fields: dict[str, Any] = {
        "dead_letter": str(entry.id),
        "id": str(dead_letter.notification_id) if dead_letter.notification_id is not None else None,
        "reason": dead_letter.reason.value,
        "fingerprint": entry.fingerprint,
        "channel": dead_letter.channel,
        "priority": dead_letter.lane.priority if dead_letter.lane is not None else None,
        "tenant": dead_letter.search_fields.tenant,
        "category": dead_letter.search_fields.category,
        "epoch": dead_letter.epoch,
        "attempts": dead_letter.attempts,
        "provider": failure.provider,
        "code": failure.code,
        "error_kind": failure.kind,
        "bytes": len(dead_letter.body),
    }
    if dead_letter.search_fields.test:
        fields["test"] = True
    if dead_letter.origin is Origin.WORKER and failure.kind not in QUOTING:
        fields["error"] = failure.message
    return fields
