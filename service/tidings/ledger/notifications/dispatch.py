"""The outbox: notifications to publish because they are due, being replayed, or their message was lost.

`dispatch_at` says when. Taking a row moves it a few seconds into the future before it is published, and again
for as long as that lasts (`tidings.ledger.notifications.outbox_lease`), and a confirm clears it: a process that dies in between leaves it to the
next scheduler, and the claim recognises what was published twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tidings.delivery.attempt import Lane
from tidings.delivery.errors import RowsMoving
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings.delivery.states import FINISHED, State
from tidings.delivery.unknown_outcome import final_reason
from tidings.ledger.database import Database

DUE: Final = "tidings_due"
"""NOTIFY channel that wakes the schedulers."""
NOTIFY: Final = "SELECT pg_notify($1, '')"

LEASE: Final = 4.0
"""Seconds for which entries belong to the process that took them; after that another one publishes them."""

HEAVIEST: Final = 16 * 1024 * 1024
"""Bytes of bodies taken in one go, or a single larger one."""

TAKE: Final = """
WITH locked AS (
    SELECT id, state, dispatch_at, octet_length(body) AS size FROM notifications
     WHERE dispatch_at <= now()
       AND (state IN ('scheduled', 'queued', 'retrying', 'failed', 'expired', 'unknown')
            OR state = 'sending' AND lease_until < now() OR state = 'sent' AND reason = 'copies_refused')
     ORDER BY dispatch_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), due AS (
    SELECT id, state, dispatch_at
      FROM (SELECT *, sum(size) OVER (ORDER BY dispatch_at, id) - size AS before FROM locked) AS sized
     WHERE before < $4
), taken AS (
    UPDATE notifications n
       SET state = CASE due.state WHEN 'scheduled' THEN 'queued' ELSE due.state END,
           updated_at = CASE due.state WHEN 'scheduled' THEN now() ELSE n.updated_at END,
           dispatch_at = now() + $2 * interval '1 second'
      FROM due
     WHERE n.id = due.id
    RETURNING n.id, n.channel, n.priority, n.state, n.epoch, n.attempt, n.accepted_at, n.traceparent, n.body,
              n.reason, n.provider, n.failure_kind, n.failure_code, n.failure_message, due.state AS was,
              extract(epoch FROM clock_timestamp() - due.dispatch_at)::float8 AS late
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'scheduled', 'queued', $3, 'due' FROM taken WHERE was = 'scheduled'
)
SELECT * FROM taken
"""

TAKE_BUT_AHEAD: Final = TAKE.replace(
    "WHERE dispatch_at <= now()",
    """WHERE dispatch_at <= now()
       AND NOT (id >= tidings_lowest_id(current_date + 1) AND id < tidings_lowest_id(current_date + 430))""",
)
"""The same, but for ids of days to come, of which partitions are made."""

DISPATCHED: Final = """
WITH locked AS (
    SELECT n.id, n.dispatch_at FROM unnest($1::uuid[], $2::int[]) AS done (id, epoch)
      JOIN notifications n ON n.id = done.id AND n.epoch = done.epoch
     WHERE n.state <> 'scheduled'
     ORDER BY n.id
       FOR NO KEY UPDATE OF n
), sent AS (
    UPDATE notifications n SET dispatch_at = NULL FROM locked WHERE n.id = locked.id AND locked.dispatch_at IS NOT NULL
), entered AS (
    UPDATE outbox_entries e SET published_at = now() FROM locked WHERE e.notification_id = locked.id AND e.published_at IS NULL
)
UPDATE dead_letters d
   SET state = 'replayed', replayed_at = now(), changed_at = now()
  FROM unnest($1::uuid[], $2::int[]) AS done (id, epoch)
 WHERE d.notification_id = done.id AND d.replay_epoch = done.epoch
   AND d.state || '' = 'replaying'
"""
"""Locks by id, as claims do: in the order in which they fell due it might wait for a claim that waits for it.
Entries are locked after their notifications, as by who decides about them. A claim may have been faster, and is not written again.
`|| ''` keeps PostgreSQL from going by the index of all that any replay has under way."""

KEEP: Final = """
WITH locked AS (
    SELECT n.id FROM unnest($1::uuid[], $2::int[]) AS held (id, epoch)
      JOIN notifications n ON n.id = held.id AND n.epoch = held.epoch
     WHERE n.dispatch_at > now() AND n.dispatch_at < now() + interval '1 day'
     ORDER BY n.id
       FOR NO KEY UPDATE OF n SKIP LOCKED
)
UPDATE notifications n SET dispatch_at = now() + $3 * interval '1 second' FROM locked WHERE n.id = locked.id
"""
"""What has been published, has run out, or was given up by a person, is left alone, and so is a row that is being changed, a claim most
likely: waiting for it, with others locked, might be waiting for each other."""

NEXT: Final = """
SELECT extract(epoch FROM least(min(dispatch_at), (SELECT min(lease_until) FROM outbox_batches)) - clock_timestamp())::float8
  FROM notifications
 WHERE dispatch_at IS NOT NULL
   AND (state IN ('scheduled', 'queued', 'retrying', 'failed', 'expired', 'unknown')
        OR state = 'sending' AND lease_until < now() OR state = 'sent' AND reason = 'copies_refused')
"""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A notification to publish to its lane, or once it has ended to the dead letters."""

    id: UUID
    lane: Lane
    epoch: int
    first_seen: datetime
    traceparent: str | None
    body: bytes
    number: int = 1
    """The attempt that its message is to begin, or that was the last one."""
    end: Undeliverable | None = None
    """Why it ended, if its dead letter was lost."""
    late: float = 0.0
    """Seconds after it was due that it was taken."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of `TAKE`."""
        state, number = State(row["state"]), row["attempt"]
        return cls(
            row["id"],
            Lane(row["channel"], row["priority"]),
            row["epoch"],
            row["accepted_at"],
            row["traceparent"],
            row["body"],
            number + 1 if state in {State.QUEUED, State.RETRYING} else number,
            _end(row, state) if state in FINISHED else None,
            row["late"],
        )


def _end(row: Mapping[str, Any], state: State) -> Undeliverable:
    failure = Failure(
        row["failure_kind"] or "unknown",
        row["failure_message"] or "",
        row["provider"] or "",
        row["failure_code"] or "",
    )
    unsure = state is State.UNKNOWN
    return Undeliverable(
        final_reason(Reason(row["reason"] or Reason.EXHAUSTED), perhaps_sent=unsure), failure
    )


class Outbox:
    """Notifications to publish."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, limit: int, *, actor: str, lease: float = LEASE) -> Sequence[OutboxEntry]:
        """What is due, at most `limit`, ours for `lease` seconds; other schedulers skip it."""
        values = (limit, lease, actor, HEAVIEST)
        try:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(TAKE, *values)
        except RowsMoving:
            async with self._database.transaction() as connection:
                rows = await connection.fetch(TAKE_BUT_AHEAD, *values)
        return [OutboxEntry.of(dict(row)) for row in rows]

    async def keep(self, taken: Sequence[OutboxEntry], lease: float = LEASE) -> None:
        """Hold what was taken for `lease` seconds more: publishing it takes a while."""
        async with self._database.connection() as connection:
            await connection.execute(
                KEEP, [entry.id for entry in taken], [entry.epoch for entry in taken], lease
            )

    async def dispatched(self, done: Sequence[OutboxEntry]) -> None:
        """RabbitMQ confirmed these."""
        async with self._database.connection() as connection:
            await connection.execute(
                DISPATCHED, [entry.id for entry in done], [entry.epoch for entry in done]
            )

    async def seconds_to_next(self) -> float | None:
        """Seconds until an entry is due, negative if one is overdue; None if there is none."""
        async with self._database.connection() as connection:
            seconds: float | None = await connection.fetchval(NEXT)
        return seconds
