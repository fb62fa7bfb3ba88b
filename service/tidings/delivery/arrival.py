"""Decides since when a notification waits, although every clock but ours may be wrong. Pure.

The producer's time counts if it is plausible, or else the time in the id (UUIDv7, RFC 9562), or else the time
of the first read. Implausible is: a time ahead of ours; one before the lane was last known to be empty, since all
later messages entered it later; and a publication before the id was made, or apart from it by whole half hours,
as when a client mistakes local time for UTC.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from tidings_events.moments import made_at

LONGEST_WAIT: Final = timedelta(days=7)
"""A message that seems to have waited longer comes from a machine whose clock is wrong or unset."""
TOLERANCE: Final = timedelta(seconds=5)
"""By how much clocks may differ; AMQP's timestamps count whole seconds."""
AHEAD: Final = -TOLERANCE
"""The shortest plausible wait: negative, as a clock may be ahead of ours."""
HALF_HOUR: Final = timedelta(minutes=30)
"""Nearly all offsets from UTC are multiples of it."""
FARTHEST: Final = timedelta(hours=14)
"""The greatest offset from UTC."""
SECOND: Final = timedelta(seconds=1)
NOTHING: Final = timedelta(0)


class TimeSource(StrEnum):
    """Where the time comes from since which a notification waits."""

    PRODUCER = "producer"
    """The message: set by its producer, or by a broker that stamps incoming messages."""
    ID = "id"
    """The notification's id."""
    READ = "read"
    """No plausible source: the time at which a worker first read it."""


class Arrival(NamedTuple):
    """Since when a notification waits."""

    at: datetime
    source: TimeSource


def arrival(
    published_at: datetime | None,
    id: UUID | None,
    read_at: datetime,
    not_before: datetime | None = None,
) -> Arrival:
    """Since when a notification waits.

    Args:
        published_at: The time of publication that its message states.
        id: The notification's.
        read_at: When it was taken from its lane.
        not_before: When its lane was last known to be empty, if it came straight from its producer.
    """
    longest = LONGEST_WAIT if not_before is None else read_at - not_before + TOLERANCE
    minted = made_at(id) if id is not None else None
    if minted is not None and not AHEAD <= read_at - minted <= longest:
        minted = None
    believed = published_at is not None and AHEAD <= read_at - published_at <= longest
    if (
        published_at is not None
        and believed
        and (minted is None or not _contradict(published_at, minted))
    ):
        return Arrival(min(_exact(published_at, minted, not_before), read_at), TimeSource.PRODUCER)
    if minted is not None:
        return Arrival(min(minted, read_at), TimeSource.ID)
    return Arrival(read_at, TimeSource.READ)


def _contradict(published_at: datetime, minted: datetime) -> bool:
    """Whether the two times contradict each other."""
    later = published_at - minted
    if later < -TOLERANCE:
        return True
    beyond = (later + TOLERANCE) % HALF_HOUR
    return HALF_HOUR - TOLERANCE <= later <= FARTHEST + TOLERANCE and beyond <= 2 * TOLERANCE


def _exact(
    published_at: datetime, minted: datetime | None, not_before: datetime | None
) -> datetime:
    """AMQP's timestamps count whole seconds: the id is more exact if it was made within that second, or else the
    lane if it was empty within that second or later."""
    if published_at.microsecond:
        return published_at
    if minted is not None and NOTHING <= minted - published_at < SECOND:
        return minted
    return (
        published_at
        if not_before is None
        else max(published_at, min(not_before, published_at + SECOND))
    )
