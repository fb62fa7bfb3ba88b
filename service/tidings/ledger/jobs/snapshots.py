"""Chooses the items of a job as they are at one moment: what arrives later is never among them.

The ids are written to `job_items` by PostgreSQL itself, in one transaction that sees the tables as they were when
it began, and in steps that each fit a statement's timeout.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.jobs import JobKind
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.search import DeadLetterFilter, skipped, where_of
from tidings.ledger.jobs.rows import JOB, Job, NewJob
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.perhaps_sent import BEFORE, IN_THIS_EPOCH
from tidings.ledger.notifications.search import conditions
from tidings.ledger.steps import steps

STEP: Final = 20_000
"""Rows looked at by one statement."""
FIRST: Final = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))
"""Before everything that is stored."""

ADD: Final = """
INSERT INTO jobs (id, kind, tenant, selection, note, actor, forced, rate, canary, stop_at, watch, changed_by, test)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9::int[], $10, $11, $6, $12)
"""

COUNTED: Final = f"""
UPDATE jobs SET items = $2, uncertain = $3, too_late = $4, doubtful = $5 WHERE id = $1 RETURNING {JOB}
"""

DOUBTFUL: Final = f"""
coalesce({IN_THIS_EPOCH} OR n.epoch > 0 AND {BEFORE} OR $2::boolean AND n.state IN ('sent', 'delivered', 'bounced'), false)
"""
"""Nothing was sent before the first epoch."""

CHOOSE: Final = """
WITH seen AS MATERIALIZED (
    SELECT d.id, d.dead_lettered_at AS at, d.notification_id, {uncertain} AS uncertain, {too_late} AS too_late,
           {doubtful} AS doubtful
      FROM dead_letters d LEFT JOIN notifications n ON n.id = d.notification_id
     WHERE {where} AND (d.dead_lettered_at, d.id) > ($3, $4)
     ORDER BY d.dead_lettered_at, d.id LIMIT $5
), kept AS (
    SELECT *, row_number() OVER (ORDER BY at, id) AS place FROM seen WHERE NOT (uncertain OR too_late)
), added AS (
    INSERT INTO job_items (job, position, item) SELECT $1, $6::int + place, id FROM kept WHERE place <= $7
    RETURNING item
)
SELECT count(*) AS seen, (SELECT count(*) FROM added) AS added,
       count(*) FILTER (WHERE uncertain) AS uncertain, count(*) FILTER (WHERE too_late AND NOT uncertain) AS too_late,
       (SELECT count(DISTINCT notification_id) FROM kept WHERE doubtful AND place <= $7) AS doubtful,
       max(at) AS at, (array_agg(id ORDER BY at DESC, id DESC))[1] AS last
  FROM seen
"""

CHOOSE_NOTIFICATIONS: Final = """
WITH added AS (
    INSERT INTO job_items (job, position, item)
    SELECT ${first}::uuid, ${second}::int + row_number() OVER (ORDER BY n.accepted_at DESC, n.id DESC), n.id
      FROM notifications n WHERE {where} ORDER BY n.accepted_at DESC, n.id DESC LIMIT ${third}
    RETURNING item
)
SELECT count(*) FROM added
"""

MOST_ITEMS: Final = 2_000_000_000
COUNTS: Final = ("added", "uncertain", "too_late", "doubtful")


class Snapshots:
    """Stores jobs with the items that they are looked at with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_dead_letters(
        self, new: NewJob, wanted: DeadLetterFilter, limit: int | None
    ) -> Job:
        """Store a job for the dead letters that match, oldest first.

        Of a replay, dead letters that may have been delivered or would expire again are left out and counted, unless
        ids or the reason are asked for.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing is stored.
        """
        where, values = where_of(wanted, after=7)
        uncertain = too_late = "false"
        if new.kind is JobKind.REPLAY:
            uncertain, too_late = skipped(wanted)
        statement = CHOOSE.format(
            where=where, uncertain=uncertain, too_late=too_late, doubtful=DOUBTFUL
        )
        return await self._look(new, statement, values, limit)

    async def of_notifications(self, new: NewJob, wanted: Filters, limit: int | None) -> Job:
        """Store a job for the notifications that match, newest first. Raises like `of_dead_letters`."""
        among, values = wanted.path
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            await _add(connection, new)
            items = 0
            async for since, until in steps(connection, wanted.since, wanted.until, among, *values):
                left = (limit or MOST_ITEMS) - items
                items += await _add_step(connection, new.id, wanted, since, until, items, left)
                if left <= 0:
                    break
            return Job.of(await _fetch(connection, new.id, [items, 0, 0, 0]))

    async def _look(
        self,
        new: NewJob,
        statement: str,
        values: list[object],
        limit: int | None,
    ) -> Job:
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read"),
        ):
            await _add(connection, new)
            counts = dict.fromkeys(COUNTS, 0)
            at, last, seen = *FIRST, STEP
            while seen == STEP:
                left = (limit or MOST_ITEMS) - counts["added"]
                step = (at, last, STEP, counts["added"], left)
                row = await connection.fetchrow(statement, new.id, new.plan.force, *step, *values)
                assert row is not None  # noqa: S101  # for the type checker: an aggregate has a row
                counts = {name: counts[name] + row[name] for name in COUNTS}
                at, last, seen = row["at"], row["last"], row["seen"]
            return Job.of(await _fetch(connection, new.id, [counts[name] for name in COUNTS]))


async def _add(connection: Connection, new: NewJob) -> None:
    plan = new.plan
    await connection.execute(
        ADD,
        new.id,
        new.kind.value,
        new.tenant,
        json.dumps(new.selection, default=str),
        new.note,
        new.actor,
        plan.force,
        plan.rate,
        list(plan.canary),
        plan.stop_at,
        plan.watch,
        new.test,
    )


async def _fetch(connection: Connection, job: UUID, counts: list[int]) -> Any:
    return await connection.fetchrow(COUNTED, job, *counts)


async def _add_step(
    connection: Connection,
    job: UUID,
    wanted: Filters,
    since: datetime | None,
    until: datetime | None,
    before: int,
    left: int,
) -> int:
    where, values = conditions(wanted, None, since or wanted.since, until or wanted.until)
    at = len(values) + 1
    statement = CHOOSE_NOTIFICATIONS.format(where=where, first=at, second=at + 1, third=at + 2)
    added: int = await connection.fetchval(statement, *values, job, before, max(0, left))
    return added
