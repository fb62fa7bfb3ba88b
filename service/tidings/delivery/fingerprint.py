"""Groups failures: those with the same cause have the same fingerprint. Pure."""

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
"""Details that differ between messages of the same cause, replaced in this order."""


def fingerprint(channel: str | None, reason: Reason, failure: Failure) -> str:
    """Twelve hex digits, the same for dead letters with the same cause."""
    parts = (channel or "", reason.value, failure.kind, failure.code, normalised(failure.message))
    return sha256("\x00".join(parts).encode()).hexdigest()[:LENGTH]


def normalised(message: str) -> str:
    """An error message without ids, addresses, numbers and quoted values."""
    for pattern, stand_in in _DETAILS:
        message = pattern.sub(stand_in, message)
    return message.strip().lower()
