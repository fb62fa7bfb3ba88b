"""The ids of notifications that come without one: new, or derived from the request so that its repeat has the same."""

from hashlib import sha256
from typing import Final
from uuid import UUID

from tidings_events.notifications.base import new_id

_VERSION_8: Final = 8 << 76 | 0b10 << 62
"""Version and variant of a UUID whose other bits are our own (RFC 9562, section 5.8)."""
_OURS: Final = (1 << 128) - 1 - (0xF << 76 | 0b11 << 62)


def id_for(key_hash: bytes, idempotency_key: str | None, index: int = 0) -> UUID:
    """The id of a notification without one.

    Derived, it needs no memory: a request is recognised by its ids even if no server remembers it.

    Args:
        key_hash: Of the caller's API key; its prefix is no secret, and who knows that must not foresee its ids.
        idempotency_key: The request's; None if it has none.
        index: Its place in the request.
    """
    if idempotency_key is None:
        return new_id()
    text = b"%b\n%b\n%d" % (key_hash, idempotency_key.encode(), index)
    number = int.from_bytes(sha256(text).digest()[:16])
    return UUID(int=number & _OURS | _VERSION_8)
