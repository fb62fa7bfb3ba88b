"""The outbox: what somebody has to publish, because it is due or was being replayed.

`dispatch_at` says when. Taking a row moves it a little into the future before it is published, and
a confirm clears it: whoever dies in between leaves it to the next scheduler, and the claim
recognises what was published twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.delivery.attempt import Lane
from tidings.ledger.database import Database

HEAVIEST: Final = 16 * 1024 * 1024
"""Bytes of bodies taken in one go, or a single larger one."""

TAKE: Final = """
WITH locked AS (
    SELECT id, state, dispatch_at, octet_length(body) AS size FROM notifications
     WHERE dispatch_at <= now() AND state IN ('scheduled', 'queued')
     ORDER BY dispatch_at
     LIMIT $1
       FOR UPDATE SKIP LOCKED
), due AS (
    SELECT id, state, dispatch_at
      FROM (SELECT *, sum(size) OVER (ORDER BY dispatch_at, id) - size AS before FROM locked) AS sized
     WHERE before < $4
), taken AS (
    UPDATE notifications n
       SET state = 'queued', dispatch_at = now() + $2 * interval '1 second', updated_at = now()
      FROM due
     WHERE n.id = due.id
    RETURNING n.id, n.channel, n.priority, n.epoch, n.accepted_at, n.traceparent, n.body, due.state AS was,
              extract(epoch FROM clock_timestamp() - due.dispatch_at)::float8 AS late
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'scheduled', 'queued', $3, 'due' FROM taken WHERE was = 'scheduled'
)
SELECT * FROM taken
"""

DISPATCHED: Final = """
WITH sent AS (
    UPDATE notifications n SET dispatch_at = NULL
      FROM unnest($1::uuid[], $2::int[]) AS done (id, epoch)
     WHERE n.id = done.id AND n.epoch = done.epoch AND n.state = 'queued'
)
UPDATE dead_letters d
   SET state = 'replayed', replayed_at = now(), changed_at = now()
  FROM unnest($1::uuid[], $2::int[]) AS done (id, epoch)
 WHERE d.notification_id = done.id AND d.replay_epoch = done.epoch
   AND d.state || '' = 'replaying'
"""
"""`|| ''` keeps PostgreSQL from going by the index of all that any replay has under way."""

NEXT: Final = """
SELECT extract(epoch FROM min(dispatch_at) - clock_timestamp())::float8
  FROM notifications
 WHERE dispatch_at IS NOT NULL AND state IN ('scheduled', 'queued')
"""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A notification to publish to its lane."""

    id: UUID
    lane: Lane
    epoch: int
    first_seen: datetime
    traceparent: str | None
    body: bytes
    late: float = 0.0
    """Seconds after it was due that it was taken."""


class Outbox:
    """What has to be published."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, limit: int, *, actor: str, lease: float = 30.0) -> Sequence[Dispatch]:
        """What is due, at most `limit`, ours for `lease` seconds; other schedulers skip it."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(TAKE, limit, lease, actor, HEAVIEST)
        return [
            Dispatch(
                row["id"],
                Lane(row["channel"], row["priority"]),
                row["epoch"],
                row["accepted_at"],
                row["traceparent"],
                row["body"],
                row["late"],
            )
            for row in rows
        ]

    async def dispatched(self, done: Sequence[Dispatch]) -> None:
        """These were confirmed by the broker."""
        async with self._database.connection() as connection:
            await connection.execute(
                DISPATCHED, [one.id for one in done], [one.epoch for one in done]
            )

    async def seconds_to_next(self) -> float | None:
        """Until something is due, negative where it is already; None where nothing is stored."""
        async with self._database.connection() as connection:
            seconds: float | None = await connection.fetchval(NEXT)
        return seconds
