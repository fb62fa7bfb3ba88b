"""Decides since when a notification waits, where every clock but ours may be wrong. Pure.

The producer's time counts where it can be true, or else that in the id (UUIDv7, RFC 9562), or else the moment
of the first read. What can't be true: a time ahead of ours; one before the lane was last known to be empty,
since whatever came later entered it later; and a publishing before the id was made, or apart from it by whole
half hours, as where a client takes local time for UTC.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from tidings_events.moments import made_at

LONGEST_WAIT: Final = timedelta(days=7)
"""A message that says it waited longer has a clock that is wrong, or none."""
TOLERANCE: Final = timedelta(seconds=5)
"""By which clocks may differ, and AMQP's timestamps count whole seconds."""
AHEAD: Final = -TOLERANCE
"""The shortest wait there is: of what comes from a clock that is ahead of ours."""
HALF_HOUR: Final = timedelta(minutes=30)
"""Offsets from UTC differ by multiples of it, but for a handful of places."""
FARTHEST: Final = timedelta(hours=14)
"""The greatest offset from UTC."""
SECOND: Final = timedelta(seconds=1)
NOTHING: Final = timedelta(0)


class TimeSource(StrEnum):
    """Who says since when a notification waits."""

    PRODUCER = "producer"
    """The message: its producer, or a broker that stamps what comes in."""
    ID = "id"
    """The notification's id."""
    READ = "read"
    """Nobody whose word can be true: it is when a worker first read it."""


class Arrival(NamedTuple):
    """Since when a notification waits."""

    at: datetime
    source: TimeSource


def arrival(
    published_at: datetime | None, id: UUID | None, read_at: datetime, not_before: datetime | None = None
) -> Arrival:
    """Since when a notification waits.

    Args:
        said: When its message says that it was published.
        id: The notification's own.
        read_at: When it was taken from its lane.
        not_before: When its lane was last known to be empty, where it has come straight from its producer.
    """
    longest = LONGEST_WAIT if not_before is None else read_at - not_before + TOLERANCE
    minted = made_at(id) if id is not None else None
    if minted is not None and not AHEAD <= read_at - minted <= longest:
        minted = None
    believed = published_at is not None and AHEAD <= read_at - published_at <= longest
    if published_at is not None and believed and (minted is None or not _contradict(published_at, minted)):
        return Arrival(min(_exact(published_at, minted, not_before), read_at), TimeSource.PRODUCER)
    if minted is not None:
        return Arrival(min(minted, read_at), TimeSource.ID)
    return Arrival(read_at, TimeSource.READ)


def _contradict(published_at: datetime, minted: datetime) -> bool:
    """Whether a message can't have been published then, if its notification was made then."""
    later = published_at - minted
    if later < -TOLERANCE:
        return True
    beyond = (later + TOLERANCE) % HALF_HOUR
    return HALF_HOUR - TOLERANCE <= later <= FARTHEST + TOLERANCE and beyond <= 2 * TOLERANCE


def _exact(published_at: datetime, minted: datetime | None, not_before: datetime | None) -> datetime:
    """AMQP's timestamps count whole seconds: within that second the id knows better, where it was made in it, or
    else its lane, where that was empty in it or since."""
    if published_at.microsecond:
        return published_at
    if minted is not None and NOTHING <= minted - published_at < SECOND:
        return minted
    return published_at if not_before is None else max(published_at, min(not_before, published_at + SECOND))
