"""Jobs: found, moved along their states, and held under a lease by the process that works on them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings.delivery.errors import NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix, ambiguous
from tidings.delivery.jobs import JobState, Plan, sources
from tidings.ledger.database import Connection, Database
from tidings.ledger.jobs.rows import JOB, Job
from tidings.ledger.positions import Position

LEASE: Final = 6.0
"""Seconds for which a job belongs to the process that took it, which renews that every third of them."""

OF_TENANT: Final = "($2::text IS NULL OR tenant = $2)"

GET: Final = f"SELECT {JOB} FROM jobs WHERE id = $1 AND {OF_TENANT}"

FIND: Final = f"""
SELECT id FROM jobs
 WHERE (id BETWEEN $1 AND $3 OR $4 <> '' AND replace(id::text, '-', '') LIKE $4) AND {OF_TENANT} LIMIT 6
"""

LIST: Final = f"""
SELECT {JOB} FROM jobs
 WHERE ($3 OR started_at IS NOT NULL) AND ($4::text[] IS NULL OR state = ANY($4)) AND {OF_TENANT}
   AND ($5::timestamptz IS NULL OR (seen_at, id) < ($5, $6::uuid))
   AND ($7::boolean IS NULL OR test = $7)
 ORDER BY seen_at DESC, id DESC LIMIT $1
"""

CHANGE: Final = f"""
WITH changed AS (
    UPDATE jobs
       SET state = $3, changed_at = now(), changed_by = $5,
           reason = CASE WHEN $3 = 'cancelled' AND started_at IS NOT NULL AND holder IS NULL
                         THEN concat_ws(': ', 'before it began, nothing was done', nullif($6, '')) ELSE $6 END,
           started_at = CASE WHEN $3 = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
           starts_at = CASE WHEN $3 = 'running' THEN coalesce(starts_at, now() + $12::float8 * interval '1 second') ELSE starts_at END,
           ended_at = CASE WHEN $3 = 'cancelled' THEN now() END, settled = false,
           wanted = CASE WHEN $3 <> 'cancelled' THEN wanted END, change = CASE WHEN $3 <> 'cancelled' THEN change END,
           judged_from = CASE state WHEN 'stopped' THEN
               coalesce((SELECT max(position) FROM job_items i WHERE i.job = jobs.id AND i.result IS NOT NULL), 0)
               ELSE judged_from END,
           forced = forced OR coalesce($7, false), rate = CASE WHEN $7 IS NULL THEN rate ELSE $8 END,
           canary = CASE WHEN $7 IS NULL THEN canary ELSE $9::int[] END,
           stop_at = CASE WHEN $7 IS NULL THEN stop_at ELSE $10 END, watch = CASE WHEN $7 IS NULL THEN watch ELSE $11 END
     WHERE id = $1 AND {OF_TENANT} AND state = ANY($4::text[])
    RETURNING *
), noted AS (
    INSERT INTO operator_actions (actor, action, note, details)
    SELECT $5, 'job ' || $3, CASE $3 WHEN 'running' THEN note ELSE reason END,
           jsonb_build_object('job', id, 'kind', kind, 'items', items)
      FROM changed
     WHERE started_at IS NOT NULL
)
SELECT {JOB} FROM changed
"""

OF_ONE: Final = """
SELECT j.changed_by, now() - j.started_at AS since
  FROM jobs j JOIN job_items i ON i.job = j.id AND i.position = 1
 WHERE j.state = 'running' AND j.kind = 'replay' AND j.items = 1 AND j.id <> $1 AND i.item = $2 AND i.result IS NULL
 LIMIT 1
"""
"""A replay of this one dead letter that has been started and not begun."""

LOCK_ONE: Final = "SELECT FROM dead_letters WHERE id = $1 FOR UPDATE"

TAKE: Final = f"""
WITH free AS (
    SELECT id AS free, holder IS NULL AS untouched FROM jobs
     WHERE state = 'running' AND (lease_until IS NULL OR lease_until < now()) AND ($3::uuid IS NULL OR id = $3)
       AND (starts_at IS NULL OR starts_at <= now())
     ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET holder = $1, lease_until = now() + $2::float8 * interval '1 second' FROM free WHERE id = free
RETURNING {JOB}, untouched
"""

KEEP: Final = """
UPDATE jobs SET lease_until = now() + $3::float8 * interval '1 second', results = $4::jsonb, outcomes = $5::jsonb
 WHERE id = $1 AND holder = $2
RETURNING state = 'running'
"""

JUDGED: Final = """
UPDATE jobs SET waves = waves || jsonb_build_array($3::jsonb) WHERE id = $1 AND holder = $2
"""

RELEASE: Final = """
UPDATE jobs SET lease_until = now() + $3::float8 * interval '1 second' WHERE id = $1 AND holder = $2
"""

END: Final = """
UPDATE jobs SET state = $3, reason = $4, changed_at = now(), changed_by = $2,
                ended_at = CASE WHEN $3 = 'finished' THEN now() END, change = CASE WHEN $3 <> 'finished' THEN change END
 WHERE id = $1 AND holder = $2 AND state = 'running'
"""

UNSETTLED: Final = f"""
SELECT {JOB} FROM jobs
 WHERE NOT settled AND state <> 'running' AND started_at IS NOT NULL AND changed_at > now() - interval '8 days'
 ORDER BY started_at LIMIT $1
"""

SETTLED: Final = """
UPDATE jobs SET results = $2::jsonb, outcomes = $3::jsonb, settled = $4 AND state IN ('finished', 'cancelled')
 WHERE id = $1 AND state <> 'running'
"""

CHANGES: Final = """
SELECT id, change FROM jobs WHERE change IS NOT NULL AND ($1::text IS NULL OR tenant = $1 OR tenant IS NULL)
"""

TIDY: Final = "SELECT tidings_tidy_jobs($1, $2)"


@dataclass(frozen=True, slots=True)
class JobChange:
    """What a person does to a job.

    Args:
        plan: Replaces the one that it was looked at with, when it is started; what was chosen by force stays so.
        starts_in: Seconds in which nothing is done with its items, when it is started.
    """

    state: JobState
    actor: str
    reason: str = ""
    plan: Plan | None = None
    starts_in: float = 0.0


@dataclass(frozen=True, slots=True)
class Rival:
    """Another person who has started the same."""

    actor: str
    seconds: float
    """Since then."""


class Jobs:
    """Jobs in PostgreSQL. Of a job of another tenant nothing is known."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(self, prefix: IdPrefix, tenant: str | None = None) -> UUID:
        """A job's id from some of its digits.

        Raises:
            NotFound: No job has them.
            Refused: Several do.
        """
        pattern = prefix.within if prefix.findable_within else ""
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, prefix.lowest, tenant, prefix.highest, pattern)
        match [row["id"] for row in rows]:
            case []:
                raise NotFound(f"there is no job {prefix.text}")
            case [only]:
                found: UUID = only
                return found
            case several:
                raise Refused(ambiguous(prefix, "jobs", sorted(map(str, several))))

    async def get(self, job: UUID, tenant: str | None = None) -> Job | None:
        """A job as it stands."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(GET, job, tenant)
        return None if row is None else Job.of(row)

    async def list(
        self,
        limit: int,
        *,
        tenant: str | None = None,
        states: Sequence[JobState] = (),
        previews: bool = False,
        after: Position | None = None,
        test: bool | None = None,
    ) -> Sequence[Job]:
        """The newest first.

        Args:
            limit: At most so many.
            tenant: Only its own.
            states: Only in one of these.
            previews: Also those that were never started.
            after: Behind this position.
            test: Of tests only, or of none.
        """
        wanted = [state.value for state in states] or None
        at, last = after or (None, None)
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST, limit, tenant, previews, wanted, at, last, test)
        return [Job.of(row) for row in rows]

    async def change(self, job: UUID, to: JobChange, tenant: str | None = None) -> Job | None:
        """Move a job to another state; None if the state that it is in does not allow that."""
        async with self._database.connection() as connection:
            return await _change(connection, job, to, tenant)

    async def start_alone(
        self, job: UUID, dead_letter: UUID, to: JobChange, tenant: str | None = None
    ) -> Job | Rival | None:
        """Start the replay of one dead letter, unless another has been started that has not begun.

        Returns:
            The job; who was faster; None as `change`.
        """
        async with self._database.transaction() as connection:
            # Whoever comes second waits here, and sees then what the first has started.
            await connection.execute(LOCK_ONE, dead_letter)
            if (rival := await connection.fetchrow(OF_ONE, job, dead_letter)) is not None:
                return Rival(rival["changed_by"], rival["since"].total_seconds())
            return await _change(connection, job, to, tenant)

    async def take(self, holder: str, job: UUID | None = None) -> Job | None:
        """Take a running job that no process works on and whose time has come: this one, or whichever waits longest."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(TAKE, holder, LEASE, job)
        return None if row is None else Job.of(row)

    async def keep(
        self, job: UUID, holder: str, results: Mapping[str, int], outcomes: Mapping[str, int]
    ) -> bool:
        """Renew the lease, and store how far it is; False if it is no longer to be worked on."""
        async with self._database.connection() as connection:
            still: bool | None = await connection.fetchval(
                KEEP, job, holder, LEASE, json.dumps(results), json.dumps(outcomes)
            )
        return bool(still)

    async def judged(self, job: UUID, holder: str, wave: Mapping[str, int]) -> None:
        """Store how the next canary wave fared."""
        async with self._database.connection() as connection:
            await connection.execute(JUDGED, job, holder, json.dumps(wave))

    async def release(self, job: UUID, holder: str, seconds: float = 0.0) -> None:
        """Leave the job to another process, after so many seconds."""
        async with self._database.connection() as connection:
            await connection.execute(RELEASE, job, holder, seconds)

    async def end(self, job: UUID, holder: str, state: JobState, reason: str = "") -> None:
        """It is finished, or stopped by itself; nothing happens if a person was faster."""
        async with self._database.connection() as connection:
            await connection.execute(END, job, holder, state.value, reason)

    async def unsettled(self, limit: int) -> Sequence[Job]:
        """Jobs that nobody works on, and whose notifications may still change."""
        async with self._database.connection() as connection:
            return [Job.of(row) for row in await connection.fetch(UNSETTLED, limit)]

    async def settle(
        self, job: UUID, results: Mapping[str, int], outcomes: Mapping[str, int], *, final: bool
    ) -> None:
        """Store how a job that nobody works on stands.

        Args:
            job: Which.
            results: How many items have which result.
            outcomes: How many notifications are in which state.
            final: Whether these can't change any more; one that may be resumed is not settled for all that.
        """
        async with self._database.connection() as connection:
            await connection.execute(SETTLED, job, json.dumps(results), json.dumps(outcomes), final)

    async def changes(self, tenant: str | None = None) -> Mapping[UUID, str]:
        """What edits that have not ended change, with people and content, by job.

        Args:
            tenant: Of this one's dead letters, among them those of jobs for all tenants.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(CHANGES, tenant)
        return {row["id"]: row["change"] for row in rows}

    async def tidy(self, age: float, most: int) -> int:
        """Delete some rows of the oldest job that ended so many seconds ago, or of an old preview; how many."""
        async with self._database.connection() as connection:
            deleted: int = await connection.fetchval(TIDY, age, most)
        return deleted


async def _change(
    connection: Connection, job: UUID, to: JobChange, tenant: str | None
) -> Job | None:
    allowed = [state.value for state in sources(to.state)]
    plan = to.plan
    values = (
        (None,) * 5
        if plan is None
        else (plan.force, plan.rate, list(plan.canary), plan.stop_at, plan.watch)
    )
    row = await connection.fetchrow(
        *(CHANGE, job, tenant, to.state.value, allowed, to.actor, to.reason),
        *(*values, to.starts_in),
    )
    return None if row is None else Job.of(row)
