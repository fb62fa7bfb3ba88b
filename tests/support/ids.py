"""Ids of any time."""

import secrets
from datetime import datetime
from uuid import UUID


def id_at(moment: datetime) -> UUID:
    """A UUIDv7 that was made then."""
    time = int(moment.timestamp() * 1000) << 80
    return UUID(int=time | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62))
