"""Trends of groups of dead letters: how many came in each hour or day of a period."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tidings.ledger.dead_letters.search import DeadLetterFilter

HOUR: Final = 3_600
DAY: Final = 86_400
HOURLY: Final = timedelta(days=2)
"""Trends of longer periods are by day."""
LONGEST: Final = timedelta(days=31)
"""A trend shows the last days of a period that is longer."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""No trend ends before: there are no dates as long before the year 1 as a trend is."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How many dead letters came in each hour or day, whatever became of them."""

    since: datetime
    """Where the first bucket begins."""
    bucket_seconds: int
    """3,600 or 86,400; days are those of UTC."""
    counts: tuple[int, ...]
    """One for each bucket, in order."""


def period_of(wanted: DeadLetterFilter, now: datetime) -> Trend:
    """The buckets of a trend, all empty: of the period asked for, or of the last day, by hour or by day."""
    until = max(min(wanted.until or now, now), EARLIEST)
    since = min(wanted.since or until - timedelta(seconds=DAY), until)
    since = max(since, until - LONGEST)
    width = HOUR if until - since <= HOURLY else DAY
    first, end = floor(since, width), ceiling(until, width)
    count = round((end - first).total_seconds() / width)
    return Trend(first, width, (0,) * max(1, count))


def end_of(period: Trend) -> datetime:
    """The first moment after a trend."""
    return period.since + timedelta(seconds=len(period.counts) * period.bucket_seconds)


def floor(moment: datetime, width: int) -> datetime:
    """Where the bucket of a moment begins."""
    return _whole(moment.timestamp() // width * width)


def ceiling(moment: datetime, width: int) -> datetime:
    """Where the next bucket begins, or this one if a moment is its beginning."""
    return _whole(-(-moment.timestamp() // width) * width)


def _whole(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
