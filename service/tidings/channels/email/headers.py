"""Header fields: folded, and where they are beyond ASCII, in encoded words (RFC 5322, RFC 2047).

Written by hand, because the standard library's structured headers take most of the time that a
mail takes to build; a test holds the two against each other.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from tidings_events.notifications.email import READ_BY_PROGRAMS

WIDTH: Final = 76
"""Columns of a line, where it can be broken at all."""
LONGEST: Final = 998
"""Octets that a line may have (RFC 5322, 2.1.1)."""
TOO_LONG: Final = 900
"""Octets from which a line is avoided: Sendmail breaks one at 990 and Haraka at 992, in the middle of anything."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_FOLDABLE = re.compile(r" *[^ ]+")
# What mail programs decode (RFC 2047, 2), most of them wherever it stands and spaces or not.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?.*?\?=", re.IGNORECASE)
_SEGMENT = 48


def text_field(name: str, value: str) -> str:
    """A field of free text, or one that programs read, which is never encoded.

    Raises:
        ValueError: The name is no field's name; the value has a line break, either of which would
            smuggle in a field of its own; or it can't stand as it is, and must.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header's name has characters that a name can't have")
    if "\n" in value or "\r" in value:
        raise ValueError(f"the header {name} has a line break in it; write it on one line")
    value = value.strip(" \t")
    if READ_BY_PROGRAMS.fullmatch(name):
        _check(name, value)
    elif not _plain(value):
        return _folded(f"{name}:", (f" {word}" for word in _encoded_words(value, len(name) + 2)))
    short = len(name) + 2 + len(value) <= WIDTH
    return f"{name}: {value}" if short else _folded(f"{name}:", _FOLDABLE.findall(" " + value))


def _check(name: str, value: str) -> None:
    """Whether it can stand as it is: a program that reads it would not decode it (RFC 2047, 5)."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(
            f"the header {name} has characters that are not printable ASCII, and programs read it to "
            "the dead letter; write it in ASCII, URLs percent-encoded"
        )
    if _longest_word(value) > LONGEST:
        raise ValueError(
            f"the header {name} has {LONGEST} characters without a space, more than a line of a mail "
            "holds; shorten it"
        )


def address_field(name: str, addresses: Iterable[str]) -> str:
    """A field of addresses, with or without display names, one on a line where there are several."""
    return f"{name}: " + ",\r\n ".join(addresses)


def name_only(field: str, address: str) -> str:
    """An address beyond ASCII as an empty group that is named so, in ASCII (RFC 6857, 3.1.8)."""
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
    """`; name="value"`, and by RFC 2231 where the value is long or beyond ASCII."""
    if _plain(value) and len(value) <= _SEGMENT:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    first, *rest = _segments(quote(value, safe=""))
    if not rest:
        return f";\r\n {name}*=utf-8''{first}"
    more = (f";\r\n {name}*{number}*={each}" for number, each in enumerate(rest, start=1))
    return f";\r\n {name}*0*=utf-8''{first}" + "".join(more)


def _plain(value: str) -> bool:
    """Whether it can stand as it is: nothing that reads as an encoded word, nor too long a word."""
    return (
        value.isascii()
        and value.isprintable()
        and ("=?" not in value or _ENCODED_WORD.search(value) is None)
        and (len(value) <= WIDTH or _longest_word(value) < TOO_LONG)
    )


def _longest_word(value: str) -> int:
    """Octets of the longest line that it makes where it is broken at every space."""
    return max(map(len, _FOLDABLE.findall(" " + value)), default=0)


def _folded(line: str, words: Iterable[str]) -> str:
    """Lines broken before words, each of which starts with its own space."""
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
    """Base64 words of at most 75 columns, none of which splits a character (RFC 2047, 2 and 5)."""
    room, word = _octets(WIDTH - column), b""
    for character in value:
        octets = character.encode()
        if len(word) + len(octets) > room:
            yield _encoded_word(word)
            room, word = _octets(WIDTH - 1), b""
        word += octets
    yield _encoded_word(word)


def _octets(columns: int) -> int:
    """Octets that an encoded word of so many columns holds; never too few for one character."""
    return max(6, (min(columns, 75) - len("=?utf-8?b??=")) // 4 * 3)


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{b64encode(octets).decode('ascii')}?="


def _segments(quoted: str) -> Iterator[str]:
    """Pieces of a percent-encoded value, never breaking an escape."""
    start = 0
    while start < len(quoted):
        end = start + _SEGMENT
        while "%" in quoted[end - 2 : end] and end < len(quoted):
            end -= 1
        yield quoted[start:end]
        start = end
