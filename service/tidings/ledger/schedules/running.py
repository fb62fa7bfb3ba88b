"""Runs a schedule: stores its notifications, and moves its next time on, in one transaction.

A process that dies leaves both as they were or both done. Any number may run: each takes a schedule that no other has
locked. The ids follow from schedule and time, so that even a run computed twice would be stored once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from time import monotonic
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from tidings.delivery.arrival import TimeSource
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.errors import (
    ConfigurationError,
    InvalidRequest,
    LedgerUnavailable,
    Refused,
    RowsMoving,
)
from tidings.delivery.schedule import RunDecision, decide, run_id
from tidings.delivery.schedule_content import body_of, notifications_of
from tidings.ledger.database import AWAY, MOVING, SETUP, VALUES, Connection, Database
from tidings.ledger.dead_letters.rows import ExpiresAt, Introduced
from tidings.ledger.notifications import rows as notification_rows
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.schedules.rows import COLUMNS, Schedule
from tidings_events import InvalidNotification

log = structlog.get_logger(__name__)

POSTPONED: Final = 20.0
"""Seconds for which a process leaves a schedule alone whose run failed in it, so that others have their turn. A run
that is tried again after that is still on time."""

TAKE: Final = f"""
SELECT {COLUMNS}, clock_timestamp() AS now FROM schedules
 WHERE next_run_at <= statement_timestamp() AND id <> ALL($1::uuid[])
 ORDER BY next_run_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
"""By an index, for which the time has to be the same throughout the statement."""

INSERT: Final = f"""
INSERT INTO notifications ({notification_rows.COLUMNS.names}, state, epoch, attempt, dispatch_at)
SELECT {notification_rows.COLUMNS.names}, 'queued', 0, 0, now() + place * interval '1 microsecond'
  FROM unnest({notification_rows.COLUMNS.parameters("int")}) AS incoming ({notification_rows.COLUMNS.names}, place)
ON CONFLICT (id) DO NOTHING
"""
"""For the outbox, in the order of the recipients."""

MOVE_ON: Final = """
UPDATE schedules
   SET next_run_at = $2, state = CASE WHEN $2::timestamptz IS NULL THEN 'ended' ELSE state END,
       runs = runs + $3, skipped = skipped + $4, last_run_at = coalesce($5, last_run_at),
       last_run = coalesce($6::jsonb, last_run), updated_at = now()
 WHERE id = $1
"""

OTHERWISE: Final = """
SELECT EXISTS (SELECT FROM unnest($1::uuid[], $2::bytea[]) AS given (id, digest) JOIN notifications n ON n.id = given.id
                WHERE sha256(n.body) <> digest)
"""
"""Whether a run by hand had other recipients or data before."""

RAN_BY_HAND: Final = (
    "UPDATE schedules SET last_run_at = $2, last_run = $3::jsonb, updated_at = now() WHERE id = $1"
)

NEXT: Final = """
SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8 FROM schedules
 WHERE next_run_at IS NOT NULL AND id <> ALL($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a schedule, or times of it that were skipped."""

    schedule: Schedule
    decision: RunDecision
    notifications: int
    error: str = ""
    """Why nothing was stored; empty if it was."""


class RunOtherwise(Refused):
    """A run by hand is repeated with other recipients or data: nothing is stored."""

    def __init__(self) -> None:
        super().__init__("this run was sent before, with other recipients or data")


class Running:
    """Runs schedules that are due."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._postponed: dict[UUID, float] = {}
        """By schedule: until when it is left alone."""

    async def run_next(self, expires_at: ExpiresAt) -> Run | None:
        """Run the schedule that is due the longest; None if none is due, or others have them.

        Args:
            expires_at: The expiry of a notification.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; nothing was stored, or all was.
        """
        id: UUID | None = None
        try:
            async with self._database.transaction() as connection:
                row = await connection.fetchrow(TAKE, self._left_alone())
                if row is None:
                    return None
                id = row["id"]
                return await _run(connection, Schedule.of(dict(row)), row["now"], expires_at)
        except Exception as error:
            if id is not None and _may_be_its_own(error):
                log.warning("schedule postponed", schedule=str(id), seconds=POSTPONED)
                self._postponed[id] = monotonic() + POSTPONED
            raise

    def _left_alone(self) -> list[UUID]:
        now = monotonic()
        self._postponed = {id: until for id, until in self._postponed.items() if until > now}
        return list(self._postponed)

    async def seconds_to_next(self) -> float | None:
        """Seconds until a schedule is due, negative if one is overdue; None if none will be. Raises like `run_next`."""
        async with self._database.connection() as connection:
            seconds: float | None = await connection.fetchval(NEXT, self._left_alone())
        return seconds


def _may_be_its_own(error: Exception) -> bool:
    """Whether a run may fail so again where others would not."""
    match error:
        case LedgerUnavailable():
            return isinstance(error.__cause__, TimeoutError | asyncpg.QueryCanceledError)
        case ConfigurationError() | RowsMoving():
            return False
        case _:
            return True


async def _run(
    connection: Connection, schedule: Schedule, now: datetime, expires_at: ExpiresAt
) -> Run:
    timing, due = schedule.timing, schedule.next_run_at
    assert timing is not None  # noqa: S101  # it has a next time
    assert due is not None  # noqa: S101  # it was taken by it
    stored, error, summary = 0, "", None
    try:
        decision = decide(timing, schedule.misfire, due, schedule.runs, now)
    except InvalidRequest as invalid:  # its zone, or this form of expression, is no longer known
        decision, error = RunDecision(None, False, 0, None), str(invalid)
    if decision.due is not None:
        stored, error = await _stored(connection, schedule, decision.due, now, expires_at)
    if decision.due is not None or error:
        summary = json.dumps(
            {
                "due_at": (decision.due or due).isoformat(),
                "late": decision.late,
                "by_hand": False,
                "notifications": stored,
                "skipped": decision.skipped,
                "error": error or None,
            }
        )
    await connection.execute(
        MOVE_ON,
        schedule.id,
        decision.next_run_at,
        int(decision.due is not None),
        decision.skipped,
        None if decision.due is None else now,
        summary,
    )
    await connection.execute(NOTIFY, DUE)
    return Run(schedule, decision, stored, error)


async def _stored(
    connection: Connection, schedule: Schedule, due: datetime, now: datetime, expires_at: ExpiresAt
) -> tuple[int, str]:
    """How many notifications were stored, or why none was: a schedule that can't run must not hold up others."""
    try:
        async with connection.transaction():
            ids = await store(connection, schedule, due.isoformat(), due, now, expires_at)
    except InvalidNotification as invalid:
        return 0, "; ".join(invalid.problems[:3])
    except VALUES as error:
        if getattr(error, "constraint_name", None) == MOVING:
            raise  # it is run again in a moment
        return 0, "it has a value that PostgreSQL can't store"
    except (*AWAY, *SETUP):
        raise
    except Exception:
        log.exception("unexpected error in a schedule", schedule=str(schedule.id))
        return 0, "unexpected error: the scheduler's log has it"
    return len(ids), ""


async def store(
    connection: Connection,
    schedule: Schedule,
    run: str,
    at: datetime,
    now: datetime,
    expires_at: ExpiresAt,
    *,
    recipients: Sequence[str | Mapping[str, Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    repeatable: bool = False,
) -> list[UUID]:
    """Store a run's notifications for the outbox; their ids.

    Args:
        connection: In a transaction.
        schedule: Locked in it.
        run: Names the run within the schedule.
        at: Its time, which its ids begin with.
        now: When its notifications are accepted.
        expires_at: The expiry of a notification.
        recipients: Instead of the schedule's.
        data: Variables of this run.
        repeatable: Whether the same run may have been stored before.

    Raises:
        InvalidNotification: The content is not valid any more.
        RunOtherwise: It was stored before, with other notifications.
    """
    wanted = schedule.recipients if recipients is None else recipients
    ids = [run_id(schedule.id, run, at, index) for index in range(len(wanted))]
    bodies = [
        body_of(schedule.content, recipient, id_, tenant=schedule.tenant, data=data)
        for recipient, id_ in zip(wanted, ids, strict=True)
    ]
    accepted = now.replace(microsecond=now.microsecond // 1000 * 1000)
    attempts = [
        Attempt(
            notification=notification,
            body=body,
            lane=Lane(notification.channel, notification.priority),
            epoch=0,
            number=1,
            first_seen=accepted,
            time_source=TimeSource.PRODUCER,
            producer=f"schedule {schedule.name}",
        )
        for notification, body in notifications_of(bodies)
    ]
    introduced = [Introduced(attempt, expires_at(attempt)) for attempt in attempts]
    if introduced:
        values = notification_rows.columns(introduced, list(range(len(introduced))))
        await connection.execute(*notification_rows.by_itself(INSERT, *values))
    if repeatable and await connection.fetchval(
        OTHERWISE, ids, [sha256(body).digest() for body in bodies]
    ):
        raise RunOtherwise
    return ids
