"""One structured line per letter, without personal data."""

from typing import Any, Final

import structlog

from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings.delivery.letter import LetterState, Origin
from tidings.ledger.dead_letters.rows import Grave

log = structlog.get_logger(__name__)

QUOTING: Final = frozenset({MalformedNotification.kind, Misrouted.kind})
"""Errors that quote what somebody wrote; so does what is said of a letter that no worker made."""


def announce(grave: Grave) -> bool:
    """Log a letter that was just stored; whether it needs anybody's attention."""
    if grave.state is LetterState.BURIED:
        log.warning("dead letter", **_fields(grave))
        return True
    log.info("dead letter closed at once", **_fields(grave), note=grave.note)
    return False


def _fields(grave: Grave) -> dict[str, Any]:
    letter, failure = grave.letter, grave.letter.failure
    fields: dict[str, Any] = {
        "letter": str(grave.id),
        "id": str(letter.notification_id) if letter.notification_id is not None else None,
        "reason": letter.reason.value,
        "fingerprint": grave.fingerprint,
        "channel": letter.channel,
        "priority": letter.lane.priority if letter.lane is not None else None,
        "category": letter.particulars.category,
        "epoch": letter.epoch,
        "attempts": letter.attempts,
        "provider": failure.provider,
        "code": failure.code,
        "error_kind": failure.kind,
        "bytes": len(letter.body),
    }
    if letter.origin is Origin.WORKER and failure.kind not in QUOTING:
        fields["error"] = failure.message
    return fields
