"""Shows the body of a letter without giving anybody away: its shape, and what Tidings itself goes by."""

import json
from typing import Any, Final

from tidings.delivery.masking import mask

PLAIN: Final = frozenset(
    {
        "id",
        "version",
        "channel",
        "priority",
        "category",
        "entity",
        "locale",
        "template",
        "max_retries",
        "scheduled_at",
        "expires_at",
        "event_type",
        "content_sid",
        "type",
    }
)
"""Fields that say how to deliver, and nothing of what is said to whom."""
PEOPLE: Final = frozenset({"recipient", "cc", "bcc", "reply_to", "from_address", "sender"})
LONGEST: Final = 200


def veiled(body: bytes) -> str | None:
    """The body as JSON with people masked and their messages left out; None where it is no JSON."""
    try:
        return json.dumps(_veiled(json.loads(body), ""), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _veiled(value: Any, field: str) -> Any:
    if isinstance(value, dict) and field in {"", "entity"}:
        return {_short(name): _veiled(inner, name) for name, inner in value.items()}
    if field in PEOPLE:
        return [_masked(one) for one in value] if isinstance(value, list) else _masked(value)
    if field in PLAIN and not isinstance(value, dict | list):
        return _short(value) if isinstance(value, str) else value
    return _summary(value)


def _masked(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else _summary(value)


def _summary(value: Any) -> Any:
    match value:
        case str():
            return f"… {len(value)} characters"
        case list():
            return f"… {len(value)} items"
        case dict():
            return f"… {len(value)} fields"
        case None | bool():
            return value
        case _:
            return "… a number"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def printable(text: str) -> str:
    """Text that somebody else wrote, without what would steer the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else f"\\u{ord(character):04x}"
        for character in text
    )


def hex_dump(body: bytes, most: int = 512) -> str:
    """The first bytes as numbers and as characters, sixteen a line."""
    lines = [
        f"{at:08x}  {part.hex(' '):<47}  {_characters(part)}"
        for at in range(0, min(len(body), most), 16)
        for part in (body[at : min(at + 16, most)],)
    ]
    rest = len(body) - most
    return "\n".join(
        [*lines, f"… {rest:,} bytes more: --raw writes all of them"] if rest > 0 else lines
    )


def _characters(part: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
