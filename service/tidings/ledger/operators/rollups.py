"""Rollups: outcomes added up by time, and open dead letters by group; folded from the deltas of each transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from tidings.ledger.database import Database

DAY: Final = 86_400
WIDTHS: Final = ((60, 4 * DAY), (900, 15 * DAY), (3_600, 32 * DAY), (14_400, 100 * DAY))
"""Seconds that a rollup covers, and for how long those of this width are kept."""
WIDEST: Final = DAY
"""Seconds; these are kept as long as `TIDINGS_ROLLUP_RETENTION` says."""
MOST_BUCKETS: Final = 200
"""Rollups of one series in a period, unless it has more days."""
CATEGORIES: Final = 200
"""Of a tenant, that are counted by themselves; those that come later are counted as `other`."""
AT_ONCE: Final = 20_000
"""Deltas that are folded in one transaction."""
FOREVER: Final = 1e10
"""Seconds for which everything is kept."""

FOLD: Final = "SELECT tidings_fold_rollups($1, $2)"
EXPIRE: Final = "SELECT tidings_expire_rollups($1)"
BEGINNING: Final = "to_timestamp(floor(extract(epoch FROM {moment})::float8 / {width}) * {width})"
"""Where the bucket of a moment begins: `date_bin`, which PostgreSQL 13 does not have."""
PLACE: Final = "floor(extract(epoch FROM {moment} - {since})::float8 / {width})::integer"
"""Which bucket of a period a moment is in, the first being 0."""


@dataclass(frozen=True, slots=True)
class Window:
    """A period of whole rollups."""

    since: datetime
    until: datetime
    """The first moment after it."""
    width: int
    """Seconds that each rollup covers."""

    @classmethod
    def around(cls, since: datetime, until: datetime | None, now: datetime) -> Self:
        """The smallest that has these, of rollups that are few enough and still kept."""
        until = min(until or now, now + timedelta(days=1))
        since = min(since, until)
        length, age = (until - since).total_seconds(), (now - since).total_seconds()
        width = next(
            (
                width
                for width, kept in WIDTHS
                if length <= MOST_BUCKETS * width and age <= kept - width
            ),
            WIDEST,
        )
        return cls(_floor(since, width), _ceiling(until, width), width)

    def parts(self) -> Sequence[tuple[int, datetime, datetime]]:
        """The same period in as few rollups as possible: of each part the width, and from when until when.

        Whole days are read from the rollups of days, what is left from narrower ones: whatever is kept in narrow ones is
        kept in wide ones.
        """
        since, until, width = self.since, self.until, self.width
        parts = []
        for wider in (*(width for width, _ in WIDTHS), WIDEST):
            begin, end = _ceiling(since, wider), _floor(until, wider)
            if wider <= width or begin >= end:
                continue
            parts += [(width, since, begin), (width, end, until)]
            since, until, width = begin, end, wider
        return [part for part in (*parts, (width, since, until)) if part[1] < part[2]]


def _floor(moment: datetime, width: int) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // width * width, UTC)


def _ceiling(moment: datetime, width: int) -> datetime:
    return datetime.fromtimestamp(-(-moment.timestamp() // width) * width, UTC)


class Rollups:
    """Keeps the rollups.

    Args:
        retention: Seconds for which they are kept; 0: for ever.
    """

    def __init__(self, database: Database, *, retention: float) -> None:
        self._database = database
        self._retention = retention

    async def fold(self) -> int:
        """Fold the oldest deltas; how many. None where another process is at it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
            ConfigurationError: We may not; says who may.
        """
        async with self._database.connection() as connection:
            folded: int = await connection.fetchval(FOLD, AT_ONCE, CATEGORIES)
        return folded

    async def expire(self) -> int:
        """Delete rollups past their retention, and narrow ones that are read no more; how many.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
            ConfigurationError: We may not; says who may.
        """
        async with self._database.connection() as connection:
            deleted: int = await connection.fetchval(EXPIRE, self._retention or FOREVER)
        return deleted
