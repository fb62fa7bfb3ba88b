"""The items of jobs: those that wait, and what became of each."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from tidings.delivery.states import FINISHED
from tidings.ledger.database import Database
from tidings.ledger.jobs.rows import Job, JobItem, OpenItem

STRETCH: Final = 10_000
"""Positions that one statement reads: PostgreSQL has no statistics of a new job's items, and might sort all of them."""

WAITING: Final = """
SELECT i.position, i.item AS id,
       coalesce((SELECT octet_length(d.body) FROM dead_letters d WHERE d.id = i.item), 0) AS size
  FROM job_items i
 WHERE i.job = $1 AND i.position > $2 AND i.position <= $3 AND i.result IS NULL
 ORDER BY i.position LIMIT $4
"""

FIRST: Final = "SELECT item FROM job_items WHERE job = $1 AND position <= $2 ORDER BY position"

RESULTS: Final = (
    "SELECT result, count(*) FROM job_items WHERE job = $1 AND result IS NOT NULL GROUP BY result"
)

STANDING: Final = """
CASE WHEN n.epoch > d.replay_epoch THEN 'failed'
     WHEN n.state = 'sent' AND d.reason = 'copies_refused' AND n.reason = d.reason THEN 'failed'
     WHEN n.state = 'queued' AND n.scheduled_at > now() THEN 'scheduled'
     ELSE n.state END
"""
"""Whatever went on to a later epoch had failed in this one: nothing else can be replayed."""

OUTCOMES: Final = f"""
WITH standing AS (
    SELECT i.job, i.position, {STANDING} AS state
      FROM job_items i JOIN dead_letters d ON d.id = coalesce(i.superseded_by, i.item) AND d.replay IS NOT DISTINCT FROM i.job
        JOIN notifications n ON n.id = d.notification_id
     WHERE i.job = $1 AND i.position > $2 AND i.position <= $3 AND i.result IN ('replayed', 'scheduled') AND i.outcome IS NULL
), settled AS (
    UPDATE job_items i SET outcome = standing.state FROM standing
     WHERE i.job = standing.job AND i.position = standing.position AND standing.state = ANY($4::text[])
)
SELECT state, count(*) FROM standing GROUP BY state
 UNION ALL
SELECT outcome, count(*) FROM job_items
 WHERE job = $1 AND position > $2 AND position <= $3 AND outcome IS NOT NULL GROUP BY outcome
"""
"""What is final is stored, and not asked for again. PostgreSQL has no statistics of a new job's items and takes them for one:
`IS NOT DISTINCT FROM` keeps it from reading all dead letters of the job for each of them, `standing.job` all its items."""

PAGE: Final = f"""
SELECT i.position, i.item, i.result, i.detail, i.superseded_by, CASE WHEN $6 THEN i.item ELSE d.notification_id END AS notification_id,
       coalesce(i.outcome, CASE WHEN d.replay = i.job AND i.result IN ('replayed', 'scheduled') THEN {STANDING} END) AS outcome
  FROM job_items i LEFT JOIN dead_letters d ON d.id = coalesce(i.superseded_by, i.item) LEFT JOIN notifications n ON n.id = d.notification_id
 WHERE i.job = $1 AND i.position > $2 AND ($3::text[] IS NULL OR i.result = ANY($3)) AND ($4::text[] IS NULL OR i.result <> ALL($4))
 ORDER BY i.position LIMIT $5
"""


class JobItems:
    """The items of jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, job: UUID, after: int, upto: int, limit: int) -> Sequence[OpenItem]:
        """Items without a result, in their order.

        Args:
            job: Whose.
            after: Behind this position.
            upto: To this one.
            limit: At most so many, and fewer if others have a result.
        """
        async with self._database.connection() as connection:
            for begin in range(after, upto, STRETCH):
                end = min(begin + STRETCH, upto)
                if rows := await connection.fetch(WAITING, job, begin, end, limit):
                    return [OpenItem(**dict(row)) for row in rows]
        return ()

    async def first(self, job: UUID, limit: int) -> Sequence[UUID]:
        """The first items, whatever their results."""
        async with self._database.connection() as connection:
            return [row["item"] for row in await connection.fetch(FIRST, job, limit)]

    async def results(self, job: UUID) -> Mapping[str, int]:
        """How many items have which result."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(RESULTS, job)
        return {row["result"]: row["count"] for row in rows}

    async def outcomes(self, job: UUID, after: int, upto: int) -> Mapping[str, int]:
        """How many notifications of a replay are in which state; what is final is stored.

        Args:
            job: Whose.
            after: Behind this position.
            upto: To this one.
        """
        final = [state.value for state in FINISHED]
        async with self._database.connection() as connection:
            rows = await connection.fetch(OUTCOMES, job, after, upto, final)
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["state"]] = counts.get(row["state"], 0) + row["count"]
        return counts

    async def page(
        self,
        job: Job,
        limit: int,
        *,
        after: int = 0,
        results: Sequence[str] | None = None,
        but: Sequence[str] | None = None,
    ) -> Sequence[JobItem]:
        """Items and what became of them, in their order.

        Args:
            job: Whose.
            limit: At most so many.
            after: Behind this position.
            results: Only with one of these results.
            but: Only with another result than these.
        """
        of_notifications = job.kind.of_notifications
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                PAGE, job.id, after, results, but, limit, of_notifications
            )
        return [JobItem(**dict(row)) for row in rows]
