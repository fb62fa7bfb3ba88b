"""What a client may send on a WebSocket, and read from an address."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidings.inbox.connection import CloseCode, LiveRefusal

LONGEST: Final = 16 * 1024
"""Characters of a client's frame."""
HIGHEST: Final = (1 << 63) - 1
"""Of a revision."""


@dataclass(frozen=True, slots=True)
class StartFrame:
    """A client's first frame."""

    token: str | None
    ticket: str | None
    since: int | None


def start_frame(text: str) -> StartFrame:
    """A client's first frame.

    Raises:
        LiveRefusal: It is none.
    """
    frame = _frame(text, "start", {"token", "ticket", "since"})
    token, ticket = _text(frame, "token"), _text(frame, "ticket")
    if token is not None and ticket is not None:
        raise LiveRefusal(CloseCode.BAD_FRAME)
    if token is None and ticket is None:
        raise LiveRefusal(CloseCode.UNAUTHENTICATED)
    return StartFrame(token, ticket, _revision(frame.get("since")))


def token_frame(text: str) -> str:
    """The token of a frame that prolongs a connection. Raises like `start_frame`."""
    token = _text(_frame(text, "token", {"token"}), "token")
    if token is None:
        raise LiveRefusal(CloseCode.UNAUTHENTICATED)
    return token


def revision_in_query(text: str | None) -> int | None:
    """`since` of an address. Raises like `start_frame`."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(HIGHEST))):
        raise LiveRefusal(CloseCode.BAD_FRAME)
    return _revision(int(text))


def _frame(text: str, type_: str, fields: set[str]) -> Mapping[str, Any]:
    try:
        frame = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        frame = None
    if (
        not isinstance(frame, dict)
        or frame.get("type") != type_
        or frame.keys() - fields - {"type"}
    ):
        raise LiveRefusal(CloseCode.BAD_FRAME)
    return frame


def _text(frame: Mapping[str, Any], name: str) -> str | None:
    value = frame.get(name)
    if not isinstance(value, str | None):
        raise LiveRefusal(CloseCode.BAD_FRAME)
    return value or None


def _revision(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= HIGHEST:
        raise LiveRefusal(CloseCode.BAD_FRAME)
    return value
