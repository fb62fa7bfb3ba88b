"""Groups alike failures: the same fault at the same place has the same fingerprint. Pure."""

import re
from hashlib import sha256
from typing import Final

from tidings.delivery.outcome import Failure, Reason

LENGTH: Final = 12

_DETAILS: Final = (
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"[^\s@<>'\"]+@[^\s@<>'\"]+"), "<address>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<value>"),
    (re.compile(r"\b(?=[a-z0-9]*\d)[a-z0-9]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d+"), "<n>"),
    (re.compile(r"\s+"), " "),
)
"""What differs between two messages that say the same; in this order."""


def fingerprint(channel: str | None, reason: Reason, failure: Failure) -> str:
    """Twelve hex digits, the same for dead letters that died of the same fault."""
    parts = (channel or "", reason.value, failure.kind, failure.code, normalised(failure.message))
    return sha256("\x00".join(parts).encode()).hexdigest()[:LENGTH]


def normalised(message: str) -> str:
    """An error message without what differs each time: ids, addresses, numbers, quoted values."""
    for pattern, stand_in in _DETAILS:
        message = pattern.sub(stand_in, message)
    return message.strip().lower()
