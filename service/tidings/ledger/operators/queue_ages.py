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

SAW: Final = """
WITH seen AS (
    SELECT queue, messages, now() - $3 * interval '1 second' AS at FROM unnest($1::text[], $2::bigint[]) AS seen (queue, messages)
), depths AS (
    INSERT INTO queue_depths AS q (queue, messages, seen_at) SELECT queue, messages, at FROM seen ORDER BY queue
    ON CONFLICT (queue) DO UPDATE SET messages = excluded.messages, seen_at = excluded.seen_at WHERE q.seen_at < excluded.seen_at
)
INSERT INTO queue_looks AS q (queue, empty_at) SELECT queue, at FROM seen WHERE messages = 0 ORDER BY queue
ON CONFLICT (queue) DO UPDATE SET empty_at = greatest(q.empty_at, excluded.empty_at)
"""
EMPTY: Final = "SELECT queue, extract(epoch FROM now() - empty_at)::float8 AS age FROM queue_looks"
LAST_READ: Final = f"""
SELECT channel, priority, extract(epoch FROM now() - max(least(accepted_at, updated_at)))::float8 AS age
  FROM (SELECT channel, priority, accepted_at, updated_at, attempt FROM notifications ORDER BY accepted_at DESC LIMIT {NEWEST}) AS newest
 WHERE attempt > 0
 GROUP BY channel, priority
"""
"""A producer whose clock is ahead makes none of them younger than when it was read."""


class QueueAges:
    """Bounds the ages of the oldest messages in the queues."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def saw(self, messages: Mapping[str, int], since: float) -> None:
        """Keep what was in the queues.

        Args:
            messages: How many, by queue.
            since: Seconds since the look at them began.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            await connection.execute(SAW, list(messages), list(messages.values()), since)

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
                for row in await connection.fetch(LAST_READ)
            }
        for lane in lanes:
            if (age := read.get((lane.channel, lane.priority))) is not None:
                ages[lane.queue] = min(age, ages.get(lane.queue, age))
        return {queue: max(0.0, age) for queue, age in ages.items()}
