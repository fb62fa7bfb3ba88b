"""A notification's content as fields that a page shows: text, HTML, JSON, and the names of files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidings.operations.times import counted

ABOUT_DELIVERY: Final = frozenset(
    {
        "id",
        "version",
        "channel",
        "recipient",
        "priority",
        "tenant",
        "category",
        "test",
        "user_id",
        "entity",
        "idempotency_key",
        "max_retries",
        "scheduled_at",
        "expires_at",
    }
)
"""Fields that are shown elsewhere on the page."""
FIRST: Final = (
    "cc",
    "bcc",
    "reply_to",
    "sender",
    "subject",
    "title",
    "text",
    "body",
    "html",
    "payload",
)


LONGEST: Final = 256 * 1024
"""Characters of one text that a page shows: a browser that gets megabytes hangs."""


def shortened(text: str) -> str:
    """A text, or the beginning of a long one and how much follows."""
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]}… and {counted(more, 'more character')}"


@dataclass(frozen=True, slots=True)
class ContentField:
    """One field of a content."""

    name: str
    text: str
    html: bool = False


def content_fields(body: bytes) -> Iterator[ContentField]:
    """The fields that its recipient gets something of, the most telling first."""
    notification = json.loads(body)
    if not isinstance(notification, dict):
        text = json.dumps(notification, indent=2, ensure_ascii=False)
        yield ContentField("body", shortened(text))
        return
    yield from fields_of(
        {name: value for name, value in notification.items() if name not in ABOUT_DELIVERY}
    )


def fields_of(content: Mapping[str, Any]) -> Iterator[ContentField]:
    """The same of a rendered content."""
    named = [name for name in FIRST if name in content]
    for name in (*named, *(name for name in content if name not in named)):
        value = content[name]
        if value in (None, [], {}, ""):
            continue
        yield ContentField(name, shortened(_text(name, value)), html=name == "html")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "attachments" and isinstance(value, list):
        return "\n".join(_file(each) for each in value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _file(attachment: Any) -> str:
    """Its name, type and size: a page has no use for the base64."""
    if not isinstance(attachment, dict):
        return "a file"
    size = len(str(attachment.get("content", ""))) * 3 // 4
    kind = attachment.get("content_type") or "application/octet-stream"
    return f"{attachment.get('filename', 'a file')} ({kind}, about {counted(size, 'byte')})"
