"""Groups of dead letters with the same fingerprint: how many, their trend, the oldest and the newest.

Open dead letters are counted by rollups, and only the oldest and the newest of each group are read. Filters that rollups
do not have (a user, an entity, a recipient …) are counted among the dead letters that match.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from tidings.delivery.outcome import Reason
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.open_groups import (
    GroupPosition,
    arrivals,
    by_rollups,
    open_groups,
    place_of,
)
from tidings.ledger.dead_letters.search import DeadLetterFilter, where_of
from tidings.ledger.dead_letters.trends import Trend, end_of, period_of
from tidings.ledger.operators.rollups import PLACE

MATCHING: Final = """
WITH grouped AS (
    SELECT d.fingerprint, count(*) AS dead_letters, min(d.dead_lettered_at) AS first_at, max(d.dead_lettered_at) AS last_at
      FROM dead_letters d WHERE {where} GROUP BY d.fingerprint
    HAVING $2::bigint IS NULL OR count(*) < $2 OR (count(*) = $2 AND d.fingerprint > $3::text)
     ORDER BY 2 DESC, 1 LIMIT $1
)
SELECT g.*, newest.* FROM grouped g,
       LATERAL (SELECT d.id AS example, d.channel, d.reason, d.kind, d.code, d.message FROM dead_letters d
                 WHERE d.fingerprint = g.fingerprint AND d.dead_lettered_at = g.last_at AND {where}
                 ORDER BY d.id DESC LIMIT 1) AS newest
 ORDER BY g.dead_letters DESC, g.fingerprint
"""
"""The newest of each group is looked up: to keep it while counting would sort all that match."""
TREND_OF_MATCHING: Final = f"""
SELECT d.fingerprint, {PLACE.format(moment="d.dead_lettered_at", since="$1", width="$3::float8")} AS place, count(*) AS count
  FROM dead_letters d
 WHERE d.dead_lettered_at >= $1 AND d.dead_lettered_at < $2 AND d.fingerprint = ANY($4::text[]) AND {{where}}
 GROUP BY 1, 2
"""


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
    """When the oldest was dead-lettered."""
    last_at: datetime
    """When the newest was."""
    example: UUID
    """The newest."""
    trend: Trend


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
    ) -> Sequence[DeadLetterGroup]:
        """The largest groups that match, behind a place in the list.

        A period of open dead letters (`since`, `until`) is counted in whole hours, which it begins and ends with.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        period = period_of(wanted, now)
        async with self._database.connection() as connection:
            if by_rollups(wanted):
                rows = await open_groups(connection, wanted, limit, after)
                trend = await arrivals(connection, wanted, period, rows)
            else:
                where, values = where_of(wanted, after=3)
                place = place_of(after)
                rows = await connection.fetch(MATCHING.format(where=where), limit, *place, *values)
                trend = await _matching(connection, wanted, period, rows)
        arrived = defaultdict[str, list[int]](lambda: list(period.counts))
        for fingerprint, place, count in trend:
            arrived[fingerprint][place] = count
        return [_group(row, period, arrived[row["fingerprint"]]) for row in rows]


async def _matching(
    connection: Connection, wanted: DeadLetterFilter, period: Trend, groups: Sequence[Record]
) -> Sequence[Record]:
    names = [row["fingerprint"] for row in groups]
    where, values = where_of(replace(wanted, since=None, until=None), after=4)
    statement = TREND_OF_MATCHING.format(where=where)
    return await connection.fetch(
        statement, period.since, end_of(period), period.bucket_seconds, names, *values
    )


def _group(row: Record, period: Trend, arrived: Sequence[int]) -> DeadLetterGroup:
    values: dict[str, Any] = {**dict(row), "reason": Reason(row["reason"])}
    trend = Trend(period.since, period.bucket_seconds, tuple(arrived))
    return DeadLetterGroup(**values, trend=trend)
