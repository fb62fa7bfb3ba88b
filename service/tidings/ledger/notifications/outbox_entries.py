"""What was accepted while RabbitMQ was away, or did not confirm it: how it fares in the outbox, for people to see and act on.

Whether an entry still waits is the notification's `dispatch_at` to say; one that a person gave up is due in a far future.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.positions import Position

NEVER: Final = "timestamptz '9999-01-01 00:00+00'"
"""When an entry is due that a person gave up: not null, or it would count as a lost message."""

ENTER: Final = """
INSERT INTO outbox_entries (notification_id, tenant, channel, user_id, reason)
SELECT id, tenant, channel, user_id, $2 FROM notifications WHERE id = ANY($1::uuid[])
ON CONFLICT (notification_id) DO NOTHING
"""
NOT_PUBLISHED: Final = """
UPDATE outbox_entries SET tries = tries + 1, last_error = $2 WHERE notification_id = ANY($1::uuid[]) AND published_at IS NULL
"""

_STATUS: Final = f"""
CASE WHEN n.dispatch_at IS NULL AND n.state = 'cancelled' AND e.published_at IS NULL THEN 'cancelled'
     WHEN n.dispatch_at IS NULL THEN 'success' WHEN n.dispatch_at >= {NEVER} THEN 'failed'
     WHEN e.tries > 0 THEN 'retrying' ELSE 'pending' END
"""
_ENTRY: Final = f"""
SELECT e.notification_id AS id, e.tenant, e.channel, e.user_id, e.reason, e.entered_at, e.tries, e.last_error, e.published_at,
       e.decided_by, e.decided_at, e.note, coalesce(n.test, false) AS test, {_STATUS} AS status
"""
ENTRIES: Final = (
    f"{_ENTRY} FROM outbox_entries e LEFT JOIN notifications n ON n.id = e.notification_id"
)
LIST: Final = f"""
{_ENTRY}
  FROM outbox_entries e LEFT JOIN LATERAL (
       SELECT state, test, dispatch_at FROM notifications WHERE id = e.notification_id OFFSET 0) AS n ON true
 WHERE ($2::text IS NULL OR e.user_id = $2) AND ($3::text IS NULL OR e.tenant = $3)
   AND ($5::timestamptz IS NULL OR (e.entered_at, e.notification_id) < ($5, $6))
   AND ($7::boolean IS NULL OR (n.test IS TRUE) = $7) AND ($1::text[] = '{{}}' OR {_STATUS} = ANY($1))
 ORDER BY e.entered_at DESC, e.notification_id DESC LIMIT $4
"""
"""`OFFSET 0` keeps PostgreSQL from joining all entries with all notifications before it takes the newest."""
BY_ID: Final = f"SELECT * FROM ({ENTRIES} WHERE e.notification_id = ANY($1::uuid[]) AND ($2::text IS NULL OR e.tenant = $2)) AS found"
YOUNG: Final = f"""
SELECT id FROM ({ENTRIES} WHERE e.published_at IS NULL AND ($1::float8 IS NULL OR e.entered_at > now() - $1 * interval '1 second')
                                 AND ($2::text IS NULL OR e.tenant = $2)
                                 AND ($4::boolean IS NULL OR coalesce(n.test, false) = $4)) AS found
 WHERE status IN ('retrying', 'failed') ORDER BY entered_at, id LIMIT $3
"""
_OPEN: Final = "n.dispatch_at IS NOT NULL AND (n.state, n.attempt) = ('queued', 0)"
OPEN: Final = f"SELECT n.id FROM notifications n WHERE n.id = ANY($1::uuid[]) AND {_OPEN}"
DECIDE: Final = f"""
WITH locked AS (
    SELECT n.id, place FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, place)
      JOIN notifications n ON n.id = given.id JOIN outbox_entries e ON e.notification_id = n.id
     WHERE {_OPEN} AND ($4::timestamptz IS NULL OR e.decided_at IS NULL OR e.decided_at <= $4)
     ORDER BY n.id FOR NO KEY UPDATE OF n, e
), changed AS (
    UPDATE notifications n SET dispatch_at = {{due}} FROM locked WHERE n.id = locked.id RETURNING n.id, n.epoch
), decided AS (
    UPDATE outbox_entries e SET tries = {{tries}}, decided_by = $2, note = $3, decided_at = clock_timestamp()
      FROM changed WHERE e.notification_id = changed.id
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'queued', 'queued', $2, $3 FROM changed
)
SELECT id FROM changed
"""
AT_ONCE: Final = DECIDE.format(due="now() + place * interval '1 microsecond'", tries="tries")
AFRESH: Final = DECIDE.format(due="now() + place * interval '1 microsecond'", tries="0")
GIVE_UP: Final = DECIDE.format(due=NEVER, tries="tries")


NAMED: Final = 10
"""Entries that the audit trail names, of those that one request decided about."""
AUDIT: Final = """
INSERT INTO operator_actions (actor, action, note, details)
VALUES ($1, $2, $3, jsonb_build_object('entries', $4::int, 'ids', to_jsonb($5::uuid[])))
"""


class EntryDecision(StrEnum):
    """What a person decides about an entry."""

    RETRY = "retry"
    """To be published at once."""
    MARK_PENDING = "mark_pending"
    """To be published at once, as if nobody had tried."""
    MARK_FAILED = "mark_failed"
    """Not to be published, until somebody retries it."""


_STATEMENTS: Final = {
    EntryDecision.RETRY: AT_ONCE,
    EntryDecision.MARK_PENDING: AFRESH,
    EntryDecision.MARK_FAILED: GIVE_UP,
}


class EntryStatus(StrEnum):
    """How an entry stands."""

    PENDING = "pending"
    """It was not tried yet."""
    RETRYING = "retrying"
    """RabbitMQ did not confirm it, and it is tried again."""
    FAILED = "failed"
    """A person gave it up."""
    SUCCESS = "success"
    """It was published."""
    CANCELLED = "cancelled"
    """A person cancelled the notification before it was published."""


@dataclass(frozen=True, slots=True)
class EnteredNotification:
    """A notification that is, or was, in the outbox because RabbitMQ was away."""

    id: UUID
    status: EntryStatus
    tenant: str
    channel: str
    user_id: str | None
    reason: str
    """Why it is there."""
    entered_at: datetime
    tries: int
    """Publishes that RabbitMQ did not confirm."""
    last_error: str | None
    published_at: datetime | None
    decided_by: str | None
    """Who last retried it or gave it up."""
    note: str | None
    test: bool = False
    decided_at: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row."""
        return cls(**{**row, "status": EntryStatus(row["status"])})


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """Which entries; what is left out says nothing."""

    ids: tuple[UUID, ...] = ()
    statuses: tuple[EntryStatus, ...] = ()
    user_id: str | None = None
    tenant: str | None = None
    test: bool | None = None
    """Tests only, or none of them."""

    @property
    def selects(self) -> bool:
        """Whether it filters by anything but the tenant, and whether they are tests."""
        return bool(self.ids or self.statuses or self.user_id is not None)


async def decide(
    connection: Connection,
    decision: EntryDecision,
    ids: Sequence[UUID],
    actor: str,
    note: str,
    unless_since: datetime | None = None,
) -> set[UUID]:
    """Decide about entries that still wait, as a part of a transaction; which of them did.

    Args:
        connection: In a transaction.
        decision: What is to become of them.
        ids: Of notifications.
        actor: Named in their history.
        note: Kept there too.
        unless_since: Leave alone what somebody decided about later than then.
    """
    rows = await connection.fetch(_STATEMENTS[decision], ids, actor, note, unless_since)
    await connection.execute(NOTIFY, DUE)
    return {row["id"] for row in rows}


async def find(
    connection: Connection, ids: Sequence[UUID], tenant: str | None
) -> Mapping[UUID, EnteredNotification]:
    """Those of these entries that there are."""
    rows = await connection.fetch(BY_ID, ids, tenant)
    return {row["id"]: EnteredNotification.of(dict(row)) for row in rows}


async def enter(connection: Connection, ids: Sequence[UUID], reason: str) -> None:
    """Note that these are in the outbox."""
    await connection.execute(ENTER, ids, reason)


class OutboxEntries:
    """Entries that people look at and decide about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def not_published(self, ids: Sequence[UUID], error: str) -> None:
        """RabbitMQ has not confirmed these."""
        async with self._database.connection() as connection:
            await connection.execute(NOT_PUBLISHED, ids, error)

    async def list(
        self,
        statuses: Sequence[EntryStatus],
        user_id: str | None,
        tenant: str | None,
        limit: int,
        after: Position | None = None,
        *,
        test: bool | None = None,
    ) -> Sequence[EnteredNotification]:
        """The newest that match, behind a position if one is given; of all statuses if none is given.

        Args:
            test: Tests only, or none of them.
        """
        place = after or (None, None)
        values = ([*map(str, statuses)], user_id, tenant, limit, *place, test)
        async with self._database.connection() as connection:
            rows = await connection.fetch(LIST, *values)
        return [EnteredNotification.of(dict(row)) for row in rows]

    async def find(
        self, ids: Sequence[UUID], tenant: str | None
    ) -> Mapping[UUID, EnteredNotification]:
        """Those of these ids that there are."""
        async with self._database.connection() as connection:
            return await find(connection, ids, tenant)

    async def unpublished(
        self, max_age: float | None, tenant: str | None, limit: int, *, test: bool | None = None
    ) -> Sequence[UUID]:
        """Those that failed or are being retried, the oldest first.

        Args:
            max_age: Seconds since they entered; None: any.
            test: Tests only, or none of them.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(YOUNG, max_age, tenant, limit, test)
        return [row["id"] for row in rows]

    async def open(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of these that still wait, and can be decided about."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(OPEN, ids)
        return {row["id"] for row in rows}

    async def publish_at_once(
        self, ids: Sequence[UUID], actor: str, note: str, *, afresh: bool = False
    ) -> set[UUID]:
        """Have them published now; which of them still waited.

        Args:
            afresh: Forget earlier tries.
        """
        decision = EntryDecision.MARK_PENDING if afresh else EntryDecision.RETRY
        return await self._decide(decision, ids, actor, note)

    async def give_up(self, ids: Sequence[UUID], actor: str, note: str) -> set[UUID]:
        """Publish them no more, until somebody retries them; which of them still waited."""
        return await self._decide(EntryDecision.MARK_FAILED, ids, actor, note)

    async def _decide(
        self, decision: EntryDecision, ids: Sequence[UUID], actor: str, note: str
    ) -> set[UUID]:
        async with self._database.transaction() as connection:
            changed = await decide(connection, decision, ids, actor, note)
            if changed:
                action, named = f"outbox {decision}", sorted(changed)[:NAMED]
                await connection.execute(AUDIT, actor, action, note, len(changed), named)
        return changed
