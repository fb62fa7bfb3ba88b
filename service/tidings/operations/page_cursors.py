"""Cursors of pages: opaque, and valid only for the list that they were given for."""

import base64
import binascii
from hashlib import sha256
from typing import Final

from tidings.delivery.errors import InvalidRequest

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


def decode(cursor: str, listed: object) -> str:
    """The place of a cursor.

    Raises:
        InvalidRequest: It is no cursor, or one of a list with other filters.
    """
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = packed[DIGEST:].decode()
    except (binascii.Error, ValueError):
        packed, place = b"", ""
    if not place or packed[:DIGEST] != _digest(place, listed):
        raise InvalidRequest(
            "it is no cursor of a list with these filters: use the one that the page before answered with, "
            "and the same filters",
            field="cursor",
        )
    return place


def _digest(place: str, listed: object) -> bytes:
    return sha256(f"{place} {listed!r}".encode()).digest()[:DIGEST]
