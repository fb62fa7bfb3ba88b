"""What became of a schedule's runs, from its notifications: their ids begin with the time of the run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.delivery.states import State
from tidings.ledger.database import Database
from tidings.ledger.schedules.rows import Schedule

COUNTS: Final = """
SELECT due.at, n.state, count(*)::bigint AS count
  FROM unnest($1::timestamptz[], $2::uuid[], $3::uuid[]) AS due (at, first, last)
  JOIN notifications n ON n.id BETWEEN due.first AND due.last
 WHERE n.producer = $4 AND n.tenant = $5
 GROUP BY 1, 2
"""
"""By the primary key: others have an id of the same millisecond too, but not many."""


class PastRuns:
    """Counts the notifications of runs by time; those by hand have ids of other times."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(
        self, schedule: Schedule, times: Sequence[datetime]
    ) -> Mapping[datetime, Mapping[State, int]]:
        """Notifications by state of the runs that were due at these times; a time without any is left out.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        beginnings = [int(due.timestamp() * 1000) << 80 for due in times]
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                COUNTS,
                times,
                [UUID(int=first) for first in beginnings],
                [UUID(int=first + (1 << 80) - 1) for first in beginnings],
                f"schedule {schedule.name}",
                schedule.tenant,
            )
        found = defaultdict[datetime, dict[State, int]](dict)
        for row in rows:
            found[row["at"]][State(row["state"])] = row["count"]
        return found
