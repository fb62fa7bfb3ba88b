"""Lets odd properties through: a message must not take the connection of its neighbours down.

pamqp reads names and times of every message strictly, and what it can't read ends the connection:
`content_type` in Latin-1, a `timestamp` in nanoseconds. The message would come again on the next
connection, and end that one too. Here such values are read as well as they can be; what is wrong
with the message is for `tidings.delivery.attempt.read` to say.
"""

import struct
from datetime import UTC, datetime
from typing import Any

from pamqp import decode

FURTHEST = datetime.max.replace(tzinfo=UTC)
"""Stands for times that no calendar holds."""


def decode_leniently() -> None:
    """Read properties leniently from now on, in this process. May be called again."""
    methods: dict[str, Any] = decode.METHODS
    in_tables: dict[bytes, Any] = decode.TABLE_MAPPING
    methods |= {"shortstr": _short_string, "timestamp": _timestamp, "table": _headers}
    in_tables |= {b"T": _timestamp, b"F": _table}


def headers_at(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """The header table that begins there, and where it ends; empty where it can't be read."""
    (length,) = struct.unpack_from(">I", data, at)
    end = at + 4 + int(length)
    if not length:
        return {}, end
    try:
        return _headers(data[at:end])[1], end
    except (ValueError, KeyError, IndexError, struct.error):
        return {}, end


def timestamp_at(data: bytes, at: int) -> datetime:
    """The time that stands there."""
    return _timestamp(data[at : at + 8])[1]


def _short_string(value: bytes) -> tuple[int, str]:
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", "replace")


def _timestamp(value: bytes) -> tuple[int, datetime]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, FURTHEST


def _headers(value: bytes) -> tuple[int, dict[str, Any]]:
    """A message's headers; none where they nest deeper than Python goes, as no header of ours does."""
    try:
        return _table(value)
    except RecursionError:
        return 4 + int(struct.unpack_from(">I", value)[0]), {}


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    """Like pamqp's, with names in any encoding."""
    end = 4 + int(struct.unpack_from(">I", value)[0])
    table: dict[str, Any] = {}
    at = 4
    while at < end:
        length, name = _short_string(value[at:])
        used, table[name] = decode.embedded_value(value[at + length :])
        at += length + used
    return end, table
