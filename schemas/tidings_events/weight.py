"""Estimates the memory that parsing a message would take, from its bytes alone.

A JSON value of two bytes becomes objects of hundreds, and one emoji makes every character of its text four bytes wide:
10 MiB can cost more than a gigabyte. The estimate creates no object for a value.
"""

import re
from collections.abc import Iterator
from typing import Final

from tidings_events.notifications.base import MAX_BODY_BYTES, too_large
from tidings_events.notifications.fields import MAX_VALUES

HARMLESS: Final = 64 * 1024
"""Bytes up to which a body is never too heavy: the worst of that size takes 13 MiB."""
MAX_WIDE_TEXT: Final = 14 * 1024 * 1024
"""Bytes that all non-ASCII texts together may take in memory. A body of a quarter of that can't take more."""
_MOST_VALUES: Final = MAX_VALUES + 5_000
"""More values than a valid notification has: its `data` or `payload` holds at most MAX_VALUES."""
_WINDOW: Final = 256 * 1024

_BEGIN_A_VALUE: Final = (b"{", b"[", b",")
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'"{[,'))
_CONTINUATION: Final = bytes(range(0x80, 0xC0))
_ESCAPED_PAIR: Final = re.compile(rb"\\u[dD][89abAB]")
_FOUR_BYTES: Final = re.compile(rb"[\xf0-\xf4]")
_BEYOND_LATIN: Final = re.compile(rb"[\xc4-\xf4]")


def too_heavy(body: bytes) -> str | None:
    """Why parsing a JSON document would take too much memory, as text for its producer; None if it would not."""
    if len(body) <= HARMLESS:
        return None
    if len(body) > MAX_BODY_BYTES:
        return too_large(len(body))
    if not _fits(body):
        return f"notification: holds more than {_MOST_VALUES:,} values; send a link to them instead"
    if len(body) > MAX_WIDE_TEXT // 4 and _wide_text(body) > MAX_WIDE_TEXT:
        return (
            f"notification: its text takes more than {MAX_WIDE_TEXT:,} bytes in memory, since some of it is not ASCII; "
            "send a link to it instead"
        )
    return None


def _fits(body: bytes) -> bool:
    """Whether it has few enough values, counted as commas, lists and objects."""
    if sum(map(body.count, _BEGIN_A_VALUE)) <= _MOST_VALUES:
        return True  # even if all of these are structure
    values = 0
    for outside in _structure(body):
        values += sum(map(outside.count, _BEGIN_A_VALUE))
        if values > _MOST_VALUES:
            return False
    return True


def _structure(body: bytes) -> Iterator[bytes]:
    """The characters that open and separate values, without those in texts, window by window."""
    inside = 0
    for window in _windows(body):
        parts = window.translate(None, _NOT_STRUCTURE).split(b'"')
        yield b"".join(parts[inside::2])
        inside ^= (len(parts) - 1) & 1


def _wide_text(body: bytes) -> int:
    """Bytes that non-ASCII texts take in memory: each text is as wide as its widest character."""
    if body.isascii() and b"\\u" not in body:
        return 0
    total = characters = inside = 0
    width = 1
    for window in _windows(body):
        for place, part in enumerate(window.split(b'"')):
            if place:
                total += characters * width if width > 1 else 0
                inside, characters, width = inside ^ 1, 0, 1
            if inside:
                characters += len(part.translate(None, _CONTINUATION))
                width = max(width, _width(part))
    return total + characters * width


def _width(text: bytes) -> int:
    """Bytes per character in memory of a text with this part."""
    if text.isascii() and b"\\u" not in text:
        return 1
    if _FOUR_BYTES.search(text) or _ESCAPED_PAIR.search(text):
        return 4
    return 2 if _BEYOND_LATIN.search(text) or b"\\u" in text else 1


def _windows(body: bytes) -> Iterator[bytes]:
    """The body in parts, without escaped quotes, so that each quote begins or ends a text."""
    start = 0
    while start < len(body):
        end = start + _WINDOW
        while body[end - 1 : end] == b"\\":  # not in the middle of an escape
            end += 1
        window = body[start:end]
        if b"\\" in window:
            window = window.replace(b"\\\\", b"").replace(b'\\"', b"")
        yield window
        start = end
