"""The schedules as people change and read them, each change with its actor on record."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import LedgerRefused, NotFound, Refused
from tidings.delivery.schedule import Misfire, Timing
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.rows import ExpiresAt
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.operators.actions import NOTE
from tidings.ledger.schedules.erasing import ScheduleErasures
from tidings.ledger.schedules.past_runs import PastRuns
from tidings.ledger.schedules.rows import COLUMNS, Schedule, ScheduleState
from tidings.ledger.schedules.running import RAN_BY_HAND, Running, store
from tidings_events.notifications.base import new_id

CREATE: Final = f"""
INSERT INTO schedules (id, tenant, name, cron, timezone, starts_at, ends_at, max_runs, misfire, content, recipients,
                       state, next_run_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb, $12, $13, $14)
ON CONFLICT (tenant, name) WHERE state <> 'deleted' DO NOTHING
RETURNING {COLUMNS}
"""

FIND: Final = f"""
SELECT {COLUMNS} FROM schedules
 WHERE (id = $1 OR name = $2) AND ($3::text IS NULL OR tenant = $3) AND state <> 'deleted'
 LIMIT 2
"""

LIST: Final = f"""
SELECT {COLUMNS} FROM schedules
 WHERE ($1::text IS NULL OR tenant = $1) AND (cardinality($2::text[]) = 0 OR state = ANY($2)) AND state <> 'deleted'
   AND ($3::uuid IS NULL OR id < $3) AND ($5::boolean IS NULL OR (content @> '{{"test": true}}') = $5)
 ORDER BY id DESC LIMIT $4
"""

LOCK: Final = (
    f"SELECT {COLUMNS}, now() AS now FROM schedules WHERE id = $1 AND state <> 'deleted' FOR UPDATE"
)

CHANGE: Final = f"""
UPDATE schedules SET state = $2, next_run_at = $3, updated_at = now() WHERE id = $1 RETURNING {COLUMNS}
"""

DELETE: Final = """
UPDATE schedules SET state = 'deleted', next_run_at = NULL, recipients = '[]', content = '{}', updated_at = now() WHERE id = $1
"""
"""The row stays, for the history; what names people goes."""


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule to be stored."""

    tenant: str
    name: str
    timezone: str
    timing: Timing | None
    misfire: Misfire
    content: Mapping[str, Any]
    recipients: Sequence[str | Mapping[str, Any]]


class NameTaken(Refused):
    """Another schedule of the tenant has this name."""


class Schedules:
    """Schedules of all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.running = Running(database)
        self.past = PastRuns(database)
        self.erasures = ScheduleErasures(database)

    async def create(self, new: NewSchedule, *, actor: str) -> Schedule:
        """Store a schedule; its first time is in the future.

        Raises:
            NameTaken: Another has its name.
            LedgerRefused: It has a value that can't be stored.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        timing, id_ = new.timing, new_id()
        async with self._database.transaction() as connection:
            now = await connection.fetchval("SELECT now()")
            next_run_at = None if timing is None else next(timing.after(now), None)
            over = timing is not None and next_run_at is None
            row = await connection.fetchrow(
                CREATE,
                id_,
                new.tenant,
                new.name,
                timing and timing.cron,
                new.timezone,
                timing and timing.starts_at,
                timing and timing.ends_at,
                timing and timing.max_runs,
                new.misfire,
                json.dumps(new.content),
                json.dumps(new.recipients),
                ScheduleState.ENDED if over else ScheduleState.ACTIVE,
                next_run_at,
                actor,
            )
            if row is None:
                raise NameTaken(
                    f"there is a schedule {new.name!r} already; delete it, or choose another name"
                )
            schedule = Schedule.of(dict(row))
            await _note(connection, actor, "create schedule", schedule)
        return schedule

    async def find(self, reference: str, tenant: str | None = None) -> Schedule:
        """A schedule by its id or name.

        Args:
            reference: Either.
            tenant: Only if it is this tenant's.

        Raises:
            NotFound: There is none.
            Refused: Several tenants have one of this name.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        try:
            id_: UUID | None = UUID(reference)
        except ValueError:
            id_ = None
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, id_, reference, tenant)
        if len(rows) > 1:
            raise Refused(f"several tenants have a schedule {reference!r}: give its id")
        if not rows:
            raise NotFound(f"there is no schedule {reference!r}")
        return Schedule.of(dict(rows[0]))

    async def list(
        self,
        limit: int,
        *,
        tenant: str | None = None,
        states: Sequence[ScheduleState] = (),
        before: UUID | None = None,
        test: bool | None = None,
    ) -> Sequence[Schedule]:
        """The newest schedules.

        Args:
            limit: At most.
            tenant: Of this one only.
            states: In one of these only.
            before: Created before the schedule with this id.
            test: Those of tests only, or none of them.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST, tenant, [*map(str, states)], before, limit, test)
        return [Schedule.of(dict(row)) for row in rows]

    async def pause(self, id: UUID, *, actor: str, note: str) -> Schedule:
        """Let its times pass until it is resumed.

        Raises:
            NotFound: It doesn't exist.
            Refused: It has ended, or is paused already.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.transaction() as connection:
            schedule, _ = await _locked(connection, id)
            if schedule.state is not ScheduleState.ACTIVE:
                raise Refused(f"{schedule.name} can't be paused: it is {schedule.state}")
            paused = await _changed(connection, schedule, ScheduleState.PAUSED, None)
            await _note(connection, actor, "pause schedule", schedule, note)
        return paused

    async def resume(self, id: UUID, *, actor: str, note: str) -> Schedule:
        """Go on with its next time; those that passed are not made up for. Raises like `pause`."""
        async with self._database.transaction() as connection:
            schedule, now = await _locked(connection, id)
            if schedule.state is not ScheduleState.PAUSED:
                raise Refused(f"{schedule.name} can't be resumed: it is {schedule.state}")
            timing = schedule.timing
            due = None if timing is None else next(timing.after(now), None)
            over = timing is not None and due is None
            state = ScheduleState.ENDED if over else ScheduleState.ACTIVE
            resumed = await _changed(connection, schedule, state, due)
            await _note(connection, actor, "resume schedule", schedule, note)
        return resumed

    async def delete(self, id: UUID, *, actor: str, note: str) -> None:
        """Delete a schedule; its notifications stay. Raises like `pause`."""
        async with self._database.transaction() as connection:
            schedule, _ = await _locked(connection, id)
            await connection.execute(DELETE, id)
            await _note(connection, actor, "delete schedule", schedule, note)

    async def run(
        self,
        id: UUID,
        *,
        run: str,
        at: datetime | None,
        expires_at: ExpiresAt,
        recipients: Sequence[str | Mapping[str, Any]] | None,
        data: Mapping[str, Any] | None,
        actor: str,
    ) -> Sequence[UUID]:
        """Send a schedule's notifications now; the ids of them. A repeat of the same run sends nothing more.

        Args:
            id: The schedule's.
            run: Names the run.
            at: Its time, for the ids; None: now.
            expires_at: The expiry of a notification.
            recipients: Instead of the schedule's.
            data: Variables of this run.
            actor: On record.

        Raises:
            InvalidNotification: The content is not valid any more, or not with these recipients and data.
            RunOtherwise: It was run before, with other recipients or data.
            NotFound: There is no such schedule.
            LedgerRefused: It has a value that can't be stored.
            LedgerUnavailable: PostgreSQL is unavailable; if it was stored all the same, a repeat recognises it.
        """
        async with self._database.transaction() as connection:
            schedule, now = await _locked(connection, id)
            ids = await store(
                connection,
                schedule,
                f"by hand {run}",
                at or now,
                now,
                expires_at,
                recipients=recipients,
                data=data,
                repeatable=True,
            )
            summary = {
                "due_at": None,
                "late": False,
                "by_hand": True,
                "notifications": len(ids),
                "skipped": 0,
                "error": None,
            }
            await connection.execute(RAN_BY_HAND, id, now, json.dumps(summary))
            await _note(connection, actor, "run schedule", schedule, notifications=len(ids))
            await connection.execute(NOTIFY, DUE)
        return ids


async def _locked(connection: Connection, id: UUID) -> tuple[Schedule, datetime]:
    row = await connection.fetchrow(LOCK, id)
    if row is None:
        raise NotFound(f"there is no schedule {id}")
    return Schedule.of(dict(row)), row["now"]


async def _changed(
    connection: Connection, schedule: Schedule, state: ScheduleState, next_run_at: datetime | None
) -> Schedule:
    row = await connection.fetchrow(CHANGE, schedule.id, state, next_run_at)
    if row is None:
        raise LedgerRefused(f"the schedule {schedule.id} is gone, though it is locked")
    return Schedule.of(dict(row))


async def _note(
    connection: Connection,
    actor: str,
    action: str,
    schedule: Schedule,
    note: str = "",
    **details: object,
) -> None:
    about = {"schedule": str(schedule.id), "name": schedule.name, "tenant": schedule.tenant}
    await connection.execute(NOTE, actor, action, note, json.dumps({**about, **details}))
