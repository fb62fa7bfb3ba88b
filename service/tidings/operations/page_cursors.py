"""Cursors of pages: opaque, and valid only for the list that they were given for."""

import base64
import binascii
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeVar

from tidings.delivery.errors import InvalidRequest

Place = TypeVar("Place")

DIGEST: Final = 9
"""Bytes of the digest of a list's filters."""


def encode(place: str, listed: object) -> str:
    """A cursor that continues behind a place.

    Args:
        place: The id or number of the last one of a page.
        listed: The filters of the list.
    """
    packed = _digest(place, listed) + place.encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


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
        place = packed[DIGEST:].decode()
        if packed[:DIGEST] == _digest(place, listed):
            return read(place)
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequest(
        "it is no cursor of a list with these filters: use the one that the page before answered with, "
        "and the same filters",
        field="cursor",
    )


def _digest(place: str, listed: object) -> bytes:
    return sha256(f"{place} {listed!r}".encode()).digest()[:DIGEST]
