"""Times as UUIDv7 (RFC 9562) and RabbitMQ write them: in milliseconds of Unix."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_MASK: Final = 0xF << 76 | 0b11 << 62
"""Version and variant: four bits and two of a UUID."""
_VERSION_7: Final = 7 << 76 | 0b10 << 62
_END: Final = 32_503_680_000_000
"""The first millisecond of the next millennium."""


def made_at(id: UUID) -> datetime | None:
    """When a UUIDv7 was made, to the millisecond; None for other UUIDs and for implausible times."""
    number = id.int
    return in_milliseconds(number >> 80) if number & _MASK == _VERSION_7 else None


def in_milliseconds(count: object) -> datetime | None:
    """A Unix time in milliseconds as a datetime; None if it is not one of this millennium."""
    if type(count) is not int or not 0 < count < _END:  # excludes bool
        return None
    return datetime.fromtimestamp(count / 1000, UTC)
