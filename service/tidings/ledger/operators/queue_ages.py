"""How old the oldest message of each queue can be, without taking one: RabbitMQ tells nobody.

A queue is first in, first out. So whatever waits in it came after the queue was last seen empty, and after the newest
notification that a worker has read from it was accepted. The later of the two bounds the age: it is never less than the
truth, and more only by what passed between. A message that a worker returned counts as if it had come again then.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from tidings.delivery.attempt import Lane
from tidings.ledger.database import Database

NEWEST: Final = 1_000
"""Notifications among which the last one that was read is looked for, of each lane."""

SAW_EMPTY: Final = """
INSERT INTO queue_looks AS q (queue, empty_at)
SELECT queue, now() - $2 * interval '1 second' FROM unnest($1::text[]) AS empty (queue) ORDER BY queue
ON CONFLICT (queue) DO UPDATE SET empty_at = greatest(q.empty_at, excluded.empty_at)
"""
EMPTY: Final = "SELECT queue, extract(epoch FROM now() - empty_at)::float8 AS age FROM queue_looks"
LAST_READ: Final = """
SELECT channel, priority, extract(epoch FROM now() - max(least(accepted_at, updated_at)))::float8 AS age
  FROM (SELECT channel, priority, accepted_at, updated_at, attempt FROM notifications ORDER BY accepted_at DESC LIMIT $1) AS newest
 WHERE attempt > 0
 GROUP BY channel, priority
"""
"""A producer whose clock is ahead makes none of them younger than when it was read."""


class QueueAges:
    """Bounds the ages of the oldest messages in the queues."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def saw_empty(self, queues: Sequence[str], since: float) -> None:
        """Keep that these queues were empty.

        Args:
            since: Seconds since the look at them began.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            await connection.execute(SAW_EMPTY, queues, since)

    async def oldest(self, lanes: Sequence[Lane]) -> Mapping[str, float]:
        """Seconds, by queue, that its oldest message has waited at most, if one waits; those of which nothing is known
        are left out.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            ages = {row["queue"]: row["age"] for row in await connection.fetch(EMPTY)}
            read = {
                (row["channel"], row["priority"]): row["age"]
                for row in await connection.fetch(LAST_READ, NEWEST)
            }
        for lane in lanes:
            if (age := read.get((lane.channel, lane.priority))) is not None:
                ages[lane.queue] = min(age, ages.get(lane.queue, age))
        return {queue: max(0.0, age) for queue, age in ages.items()}
