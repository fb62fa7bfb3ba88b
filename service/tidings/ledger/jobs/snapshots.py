"""Chooses the items of a job as they are at one moment: what arrives later is never among them.

The job is stored first, with its filter, and its items are chosen after that: by PostgreSQL itself, in one transaction
that sees the tables as they were when it began, and in steps that each fit a statement's timeout. Whoever is killed at
it leaves a job without items, which the next process chooses.
"""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg import Record
from pydantic import TypeAdapter

from tidings.delivery.jobs import JobKind
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.search import DeadLetterFilter, skipped, where_of
from tidings.ledger.jobs.outbox_choice import MOST_ITEMS, choose_entries
from tidings.ledger.jobs.rows import JOB, Job, NewJob
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.outbox_entries import OutboxFilter
from tidings.ledger.notifications.perhaps_sent import BEFORE, IN_THIS_EPOCH
from tidings.ledger.notifications.search import conditions
from tidings.ledger.steps import steps

STEP: Final = 20_000
"""Rows looked at by one statement."""
FIRST: Final = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))
"""Before everything that is stored."""

ADD: Final = f"""
INSERT INTO jobs (id, kind, tenant, selection, note, actor, forced, rate, canary, stop_at, watch, changed_by, test,
                  state, wanted, most, edit, change, then_replay)
VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9::int[], $10, $11, $6, $12, 'choosing', $13::jsonb, $14, $15::jsonb, $16, $17)
RETURNING {JOB}
"""

BEGIN: Final = """
SELECT id, kind, forced, wanted, most, then_replay FROM jobs
 WHERE id = $1 AND state = 'choosing' AND pg_try_advisory_xact_lock(hashtextextended('tidings: items of job ' || id, 0))
"""
"""One process at a time; the lock ends with its transaction, however that ends."""

CHOSEN: Final = f"""
UPDATE jobs SET state = 'preview', seen_at = now(), changed_at = now(), wanted = NULL, reason = '',
                items = $2, uncertain = $3, too_late = $4, doubtful = $5
 WHERE id = $1 AND state = 'choosing'
RETURNING {JOB}
"""

FAILED: Final = """
UPDATE jobs SET reason = $2, lease_until = now() + $3::float8 * interval '1 second' WHERE id = $1 AND state = 'choosing'
"""

LEFT: Final = """
SELECT id FROM jobs
 WHERE state = 'choosing' AND NOT settled AND changed_at < now() - $1::float8 * interval '1 second'
   AND (lease_until IS NULL OR lease_until < now())
 ORDER BY changed_at LIMIT 1
"""
"""`NOT settled`: an index has these."""

OVERTAKEN: Final = (asyncpg.SerializationError, asyncpg.UniqueViolationError)
"""The job was cancelled, deleted or chosen by another process since the transaction began."""

DOUBTFUL: Final = f"""
coalesce({IN_THIS_EPOCH} OR n.epoch > 0 AND {BEFORE} OR $2::boolean AND n.state IN ('sent', 'delivered', 'bounced'), false)
"""
"""Nothing was sent before the first epoch."""

CHOOSE: Final = """
WITH wanted AS MATERIALIZED (
    SELECT d.id, d.dead_lettered_at, d.notification_id, d.reason, d.supersedes FROM dead_letters d
     WHERE {where} AND (d.dead_lettered_at, d.id) > ($3, $4)
     ORDER BY d.dead_lettered_at, d.id LIMIT $5
), seen AS MATERIALIZED (
    SELECT d.id, d.dead_lettered_at AS at, d.notification_id, {uncertain} AS uncertain, {too_late} AS too_late,
           {doubtful} AS doubtful
      FROM wanted d LEFT JOIN notifications n ON n.id = d.notification_id
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

COUNTS: Final = ("added", "uncertain", "too_late", "doubtful")


Wanted: TypeAlias = DeadLetterFilter | Filters | OutboxFilter
"""Which items."""


class Snapshots:
    """Stores jobs, and chooses their items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: NewJob, wanted: Wanted, limit: int | None) -> Job:
        """Store a job whose items are still to be chosen.

        Args:
            new: The job.
            wanted: Which dead letters or entries of the outbox, oldest first; of a cancellation which notifications,
                newest first.
            limit: At most so many.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        plan, stored = new.plan, _filter_of(new.kind).dump_json(wanted).decode()
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                *(ADD, new.id, new.kind.value, new.tenant, json.dumps(new.selection, default=str)),
                *(new.note, new.actor, plan.force, plan.rate, list(plan.canary), plan.stop_at),
                *(plan.watch, new.test, stored, limit),
                *(None if new.edit is None else json.dumps(new.edit), new.change, new.then_replay),
            )
        assert row is not None  # noqa: S101  # it was inserted
        return Job.of(row)

    async def choose(self, job: UUID) -> Job | None:
        """Choose the items of a job, as they are now.

        Of a replay, dead letters that may have been delivered or would expire again are left out and counted, unless
        ids or the reason are asked for. An edit may give a later time: what would expire is among its items.

        Returns:
            The job; None if nobody waits for that any more, or another process does it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable, or takes too long: nothing is chosen.
        """
        async with self._database.connection() as connection:
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    begun = await connection.fetchrow(BEGIN, job)
                    if begun is None:
                        return None
                    kind = JobKind(begun["kind"])
                    wanted = _filter_of(kind).validate_json(begun["wanted"])
                    counts = await _chosen(connection, begun, kind, wanted)
                    row = await connection.fetchrow(CHOSEN, job, *counts)
            except OVERTAKEN:
                return None
        return None if row is None else Job.of(row)

    async def failed(self, job: UUID, reason: str, seconds: float) -> None:
        """Note why the items of a job could not be chosen; nobody is to try again for so many seconds."""
        async with self._database.connection() as connection:
            await connection.execute(FAILED, job, reason, seconds)

    async def left(self, seconds: float) -> UUID | None:
        """A job whose items should have been chosen so many seconds ago; another process may be at it."""
        async with self._database.connection() as connection:
            found: UUID | None = await connection.fetchval(LEFT, seconds)
        return found


@cache
def _filter_of(kind: JobKind) -> TypeAdapter[Any]:
    if kind.decides:
        return TypeAdapter(OutboxFilter)
    return TypeAdapter(Filters if kind is JobKind.CANCEL else DeadLetterFilter)


async def _chosen(connection: Connection, job: Record, kind: JobKind, wanted: Wanted) -> list[int]:
    """Store the items: how many, and of a replay how many are uncertain, too late, or doubtful."""
    if isinstance(wanted, OutboxFilter):
        return [await choose_entries(connection, job, wanted), 0, 0, 0]
    if isinstance(wanted, Filters):
        return await _notifications(connection, job, wanted)
    where, values = where_of(wanted, after=7)
    uncertain, too_late = skipped(wanted)
    if kind is not JobKind.REPLAY:
        uncertain, too_late = uncertain if job["then_replay"] else "false", "false"
    statement = CHOOSE.format(
        where=where, uncertain=uncertain, too_late=too_late, doubtful=DOUBTFUL
    )
    counts = dict.fromkeys(COUNTS, 0)
    at, last, seen = *FIRST, STEP
    while seen == STEP:
        left = (job["most"] or MOST_ITEMS) - counts["added"]
        step = (at, last, STEP, counts["added"], left)
        row = await connection.fetchrow(statement, job["id"], job["forced"], *step, *values)
        assert row is not None  # noqa: S101  # for the type checker: an aggregate has a row
        counts = {name: counts[name] + row[name] for name in COUNTS}
        at, last, seen = row["at"], row["last"], row["seen"]
    return [counts[name] for name in COUNTS]


async def _notifications(connection: Connection, job: Record, wanted: Filters) -> list[int]:
    among, values = wanted.path
    items = 0
    async for since, until in steps(connection, wanted.since, wanted.until, among, *values):
        left = (job["most"] or MOST_ITEMS) - items
        items += await _add_step(connection, job["id"], wanted, since, until, items, left)
        if left <= 0:
            break
    return [items, 0, 0, 0]


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
