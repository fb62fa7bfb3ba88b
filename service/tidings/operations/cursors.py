"""Cursors of lists: opaque, with a checksum, and valid only for the filters that they were given for."""

import base64
import binascii
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.ledger.notifications.filters import Position

_VERSION: Final = b"\x01"
_DIGEST: Final = 12
"""Bytes of the checksum."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode(position: Position, filters: Any) -> str:
    """A cursor that goes on behind a position, with these filters alone.

    Args:
        filters: A dataclass.
    """
    place = _packed(position)
    raw = _VERSION + place + _digest(place, filters)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(cursor: str, filters: Any) -> Position:
    """The position of a cursor.

    Raises:
        InvalidRequest: It is no cursor of ours, or one of a list with other filters.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(_NO_CURSOR, field="cursor") from None
    place, digest = raw[1:25], raw[25:]
    if raw[:1] != _VERSION or len(digest) != _DIGEST:
        raise InvalidRequest(_NO_CURSOR, field="cursor")
    if digest != _digest(place, filters):
        raise InvalidRequest(
            "it is of a list with other filters, or was changed; repeat the first request's filters with it",
            field="cursor",
        )
    microseconds = int.from_bytes(place[:8], "big", signed=True)
    return Position(_EPOCH + timedelta(microseconds=microseconds), UUID(bytes=place[8:]))


_NO_CURSOR: Final = "it is no cursor; use one that a list has answered with"


def _packed(position: Position) -> bytes:
    microseconds = (position.accepted_at - _EPOCH) // _MICROSECOND
    return microseconds.to_bytes(8, "big", signed=True) + position.id.bytes


def _digest(place: bytes, filters: Any) -> bytes:
    """Of the place and the filters, in whatever order their values are given."""
    chosen = [
        sorted(map(repr, value)) if isinstance(value, tuple) else _stated(value)
        for value in astuple(filters)
    ]
    return sha256(place + repr(chosen).encode()).digest()[:_DIGEST]


def _stated(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else repr(value)
