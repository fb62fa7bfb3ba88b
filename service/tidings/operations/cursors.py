"""Cursors of lists: opaque, and valid only for the list and the filters that they were given for.

The time bounds of a list are not among those filters: `24h` is another time with each page.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, TypeVar
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.ledger.positions import Position

__all__ = ["Position", "decode", "encode", "position"]

Place = TypeVar("Place")

DIGEST: Final = 9
"""Bytes of the digest of a list's filters."""
BOUNDS: Final = {"since", "until"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode(place: Position | str, listed: object) -> str:
    """A cursor that continues behind a place.

    Args:
        place: Time and id, or the id or number, of the last one of a page.
        listed: The filters of the list: a dataclass, or a tuple.
    """
    text = _packed(place) if isinstance(place, Position) else place
    return base64.urlsafe_b64encode(_digest(text, listed) + text.encode()).rstrip(b"=").decode()


def decode(cursor: str, listed: object, read: Callable[[str], Place]) -> Place:
    """The place of a cursor.

    Args:
        cursor: As it was given.
        listed: The filters of the list.
        read: Reads the place; a `ValueError` says that it is none.

    Raises:
        InvalidRequest: It is no cursor, or one of a list with other filters.
    """
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text = packed[DIGEST:].decode()
        if packed[:DIGEST] == _digest(text, listed):
            return read(text)
    except (binascii.Error, ValueError, OverflowError):
        pass
    raise InvalidRequest(
        "it is no cursor of a list with these filters: use the one that the page before answered with, "
        "and the same filters",
        field="cursor",
    )


def position(text: str) -> Position:
    """Read time and id.

    Raises:
        ValueError: They are none.
        OverflowError: There is no such time.
    """
    microseconds, _, id_ = text.partition(" ")
    return Position(_EPOCH + timedelta(microseconds=int(microseconds)), UUID(id_))


def _packed(place: Position) -> str:
    return f"{(place.at - _EPOCH) // _MICROSECOND} {place.id.hex}"


def _digest(text: str, listed: object) -> bytes:
    return sha256(f"{text} {_stated(listed)}".encode("utf-8", "backslashreplace")).digest()[:DIGEST]


def _stated(listed: object) -> str:
    """Filters in words, in whatever order their values are given."""
    if is_dataclass(listed) and not isinstance(listed, type):
        names = [field.name for field in fields(listed) if field.name not in BOUNDS]
        return repr([(name, _stated(getattr(listed, name))) for name in names])
    if isinstance(listed, tuple):
        return repr(sorted(map(_stated, listed)))
    return repr(listed)
