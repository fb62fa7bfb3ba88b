"""Shortens a recipient so that an operator recognises it, and a log file reveals no personal data."""

from typing import Final
from urllib.parse import urlsplit

HIDDEN: Final = "…"
_DOTS: Final = "•••"


def mask(recipient: str) -> str:
    """A shortened recipient; never the recipient itself.

    `jane@example.com` → `j…@example.com`, `+14155550123` → `+1415•••23`,
    `https://hooks.example.com/T0/B0?key=…` → `https://hooks.example.com/…`, anything else → `u…`.
    """
    masked = _masked(recipient)
    return masked if masked != recipient else _DOTS


def _masked(recipient: str) -> str:
    if "://" in recipient:
        return _url(recipient)
    local, at, domain = recipient.rpartition("@")
    if at:
        return f"{_first(local)}{HIDDEN}@{_printable(domain)}"
    if recipient.startswith("+") and recipient[1:].isdigit():
        return _number(recipient)
    return _first(recipient) + HIDDEN


def _url(url: str) -> str:
    """Scheme and host: a path or a query may be a secret, and a user name is one."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    return f"{_printable(parts.scheme)}://{_printable(parts.hostname or '')}{port}/{HIDDEN}"


def _number(number: str) -> str:
    """Country code and last digits: at least four digits are hidden, and so is their number."""
    digits = number[1:]
    return f"+{digits[: max(0, min(4, len(digits) - 6))]}{_DOTS}{digits[-2:] if len(digits) > 4 else ''}"


def _first(text: str) -> str:
    """The first character, if more than one is hidden."""
    return _printable(text[:1]) if len(text) > 2 else ""


def _printable(text: str) -> str:
    return text if text.isprintable() else ""
