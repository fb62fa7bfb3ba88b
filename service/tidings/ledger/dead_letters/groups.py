"""Groups of dead letters with the same fingerprint: how many, their trend, the oldest and the newest.

Open dead letters are counted by rollups, and only the oldest and the newest of each group are read. With filters that rollups do
not have (another state, a user, an entity, a recipient …) the newest dead letters are looked at, for as long as there is time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tidings.delivery.outcome import Reason
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.matching_groups import behind, count_matching, newest_of
from tidings.ledger.dead_letters.open_groups import (
    GroupPosition,
    arrivals,
    by_rollups,
    open_groups,
)
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.dead_letters.trends import Trend, period_of
from tidings.ledger.steps import NO_LIMIT, PATIENCE, TimeLimit


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters with the same fingerprint."""

    fingerprint: str
    dead_letters: int
    channel: str | None
    reason: Reason
    kind: str
    code: str
    message: str
    """Of the newest."""
    first_at: datetime
    """When the oldest was dead-lettered, or the beginning of that hour: see `open_groups.PASSED_BY`."""
    last_at: datetime
    """When the newest was."""
    example: UUID
    """The newest."""
    trend: Trend


@dataclass(frozen=True, slots=True)
class GroupsFound:
    """Groups of dead letters, the largest first."""

    groups: Sequence[DeadLetterGroup]
    searched_since: datetime | None = None
    """Dead letters that came before were not looked at; None: all were."""


class DeadLetterGrouping:
    """Reads groups of dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def largest(
        self,
        wanted: DeadLetterFilter,
        limit: int,
        after: GroupPosition | None = None,
        *,
        now: datetime,
        patience: float | None = PATIENCE,
    ) -> GroupsFound:
        """The largest groups that match, behind a place in the list.

        A period of open dead letters (`since`, `until`) is counted in whole hours, which it begins and ends with.

        Args:
            wanted: Which dead letters.
            limit: At most so many groups.
            after: Only groups behind this place.
            now: Where the trends end, if the filter has no end.
            patience: Seconds, about, for which dead letters are counted where no rollup does; None: until the end. The pages
                behind the first count the same as it, however long it takes.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        period = period_of(wanted, now)
        async with self._database.connection() as connection:
            if not by_rollups(wanted):
                return await _matching(
                    connection, wanted, limit, after, period, TimeLimit(patience)
                )
            rows = await open_groups(connection, wanted, limit, after)
            trend = await arrivals(connection, wanted, period, rows)
        arrived = defaultdict[str, list[int]](lambda: list(period.counts))
        for fingerprint, place, count in trend:
            arrived[fingerprint][place] = count
        return GroupsFound([_group(dict(row), period, arrived[row["fingerprint"]]) for row in rows])


async def _matching(
    connection: Connection,
    wanted: DeadLetterFilter,
    limit: int,
    after: GroupPosition | None,
    period: Trend,
    time: TimeLimit,
) -> GroupsFound:
    if after is None:
        every, searched_since = await count_matching(connection, wanted, period, time)
    else:
        searched_since = after.searched_since
        counted = replace(wanted, since=searched_since or wanted.since)
        every, _ = await count_matching(connection, counted, period, NO_LIMIT)
    counts = behind(every, after)[:limit]
    newest = await newest_of(connection, counts)
    groups = [
        _group({**count.numbers, **newest[count.example]}, period, count.arrived)
        for count in counts
        if count.example in newest  # not deleted meanwhile
    ]
    return GroupsFound(groups, searched_since)


def _group(row: Mapping[str, Any], period: Trend, arrived: Sequence[int]) -> DeadLetterGroup:
    values: dict[str, Any] = {**row, "reason": Reason(row["reason"])}
    trend = Trend(period.since, period.bucket_seconds, tuple(arrived))
    return DeadLetterGroup(**values, trend=trend)
