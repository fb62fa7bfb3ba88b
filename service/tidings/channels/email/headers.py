"""Header fields: folded, with non-ASCII text in encoded words (RFC 5322, RFC 2047).

Written by hand, because the standard library's structured headers take most of the time that a
mail takes to build; a test compares the two.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from tidings_events.notifications.email import READ_BY_PROGRAMS

WIDTH: Final = 76
"""Columns of a line that can be folded."""
LONGEST: Final = 998
"""Octets of a line at most (RFC 5322, 2.1.1)."""
TOO_LONG: Final = 900
"""Octets of a line to stay below: Sendmail breaks one at 990 and Haraka at 992, even within a word."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_FOLDABLE = re.compile(r" *[^ ]+")
# Mail programs decode this (RFC 2047, 2), most of them anywhere and even without spaces around it.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?.*?\?=", re.IGNORECASE)
_SEGMENT = 48


def text_field(name: str, value: str) -> str:
    """A field of free text, or a machine-readable one, which is never encoded.

    Raises:
        ValueError: The name is not a field name or the value has a line break (header injection);
            or a machine-readable value would need encoding.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header name contains invalid characters")
    if "\n" in value or "\r" in value:
        raise ValueError(f"the header {name} contains a line break; write it on one line")
    value = value.strip(" \t")
    if READ_BY_PROGRAMS.fullmatch(name):
        _check(name, value)
    elif not _plain(value):
        return _folded(f"{name}:", (f" {word}" for word in _encoded_words(value, len(name) + 2)))
    short = len(name) + 2 + len(value) <= WIDTH
    return f"{name}: {value}" if short else _folded(f"{name}:", _FOLDABLE.findall(" " + value))


def _check(name: str, value: str) -> None:
    """Raise ValueError if it needs encoding: programs that read it would not decode it (RFC 2047, 5)."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(
            f"the header {name} is machine-readable and contains characters that are not printable "
            "ASCII; write it in ASCII, URLs percent-encoded"
        )
    if _longest_word(value) > LONGEST:
        raise ValueError(
            f"the header {name} contains a word of more than {LONGEST - 1} characters, which does not fit "
            "on a line; shorten it"
        )


def address_field(name: str, addresses: Iterable[str]) -> str:
    """A field of addresses, with or without display names, one a line."""
    return f"{name}: " + ",\r\n ".join(addresses)


def name_only(field: str, address: str) -> str:
    """A non-ASCII address as the name of an empty group, in ASCII (RFC 6857, 3.1.8)."""
    if address.isascii():
        return address
    return "\r\n ".join(_encoded_words(address, len(field) + 2)) + " :;"


def shown(name: str, address: str) -> str:
    """An address with its display name."""
    if not name:
        return address
    if not _plain(name) or len(name) > WIDTH:
        return "\r\n ".join((*_encoded_words(name, len("From: ")), f"<{address}>"))
    if _ATOMS.fullmatch(name):
        return f"{name} <{address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def parameter(name: str, value: str) -> str:
    """`; name="value"`, encoded by RFC 2231 if the value is long or not ASCII."""
    if _plain(value) and len(value) <= _SEGMENT:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    first, *rest = _segments(quote(value, safe=""))
    if not rest:
        return f";\r\n {name}*=utf-8''{first}"
    more = (f";\r\n {name}*{number}*={each}" for number, each in enumerate(rest, start=1))
    return f";\r\n {name}*0*=utf-8''{first}" + "".join(more)


def _plain(value: str) -> bool:
    """Whether it needs no encoding: no text like an encoded word, no overlong word."""
    return (
        value.isascii()
        and value.isprintable()
        and ("=?" not in value or _ENCODED_WORD.search(value) is None)
        and (len(value) <= WIDTH or _longest_word(value) < TOO_LONG)
    )


def _longest_word(value: str) -> int:
    """Octets of its longest line if it is folded at every space."""
    return max(map(len, _FOLDABLE.findall(" " + value)), default=0)


def _folded(line: str, words: Iterable[str]) -> str:
    """Fold a line before words, each of which begins with a space."""
    first, *rest = words
    lines = []
    if len(line) + len(first) < TOO_LONG:
        line += first
    else:
        lines, line = [line], first
    for word in rest:
        if len(line) + len(word) > WIDTH:
            lines.append(line)
            line = word
        else:
            line += word
    return "\r\n".join((*lines, line))


def _encoded_words(value: str, column: int) -> Iterator[str]:
    """Base64 encoded words of at most 75 columns that split no character (RFC 2047, 2 and 5)."""
    room, word = _octets(WIDTH - column), b""
    for character in value:
        octets = character.encode()
        if len(word) + len(octets) > room:
            yield _encoded_word(word)
            room, word = _octets(WIDTH - 1), b""
        word += octets
    yield _encoded_word(word)


def _octets(columns: int) -> int:
    """Octets that fit into an encoded word of so many columns; enough for one character."""
    return max(6, (min(columns, 75) - len("=?utf-8?b??=")) // 4 * 3)


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{b64encode(octets).decode('ascii')}?="


def _segments(quoted: str) -> Iterator[str]:
    """Segments of a percent-encoded value that split no escape."""
    start = 0
    while start < len(quoted):
        end = start + _SEGMENT
        while "%" in quoted[end - 2 : end] and end < len(quoted):
            end -= 1
        yield quoted[start:end]
        start = end
