"""Batches of the outbox: notifications that are published together, as by a replay.

A batch is one entry under a lease, which costs far less than one of each notification. It is deleted once all are
confirmed; of one whose process died, or was refused some, each that is left becomes an entry of its own.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.dispatch import DUE, LEASE, NOTIFY, OutboxEntry

BEGIN: Final = """
INSERT INTO outbox_batches (id, notifications, epochs, lease_until)
VALUES ($1, $2::uuid[], $3::int[], now() + $4 * interval '1 second')
RETURNING (SELECT count(*) FROM outbox_batches WHERE lease_until > now()) AS others
"""
KEEP: Final = """
UPDATE outbox_batches SET lease_until = now() + $2 * interval '1 second' WHERE id = $1 AND lease_until > now()
"""
DELETE: Final = "DELETE FROM outbox_batches WHERE id = $1"
LEAVE: Final = """
UPDATE outbox_batches SET notifications = $2::uuid[], epochs = $3::int[], lease_until = now() WHERE id = $1
"""
TAKE_OVER: Final = """
WITH lapsed AS (
    DELETE FROM outbox_batches
     WHERE id IN (SELECT id FROM outbox_batches WHERE lease_until <= now() LIMIT $1 FOR UPDATE SKIP LOCKED)
    RETURNING notifications, epochs
), locked AS (
    SELECT n.id, n.epoch
      FROM lapsed, unnest(notifications, epochs) AS left_over (id, epoch) JOIN notifications n USING (id, epoch)
     WHERE (n.state, n.attempt) = ('queued', 0) AND n.dispatch_at IS NULL
     ORDER BY n.id
       FOR NO KEY UPDATE OF n
), entered AS (
    UPDATE notifications n SET dispatch_at = now() FROM locked WHERE n.id = locked.id
), waits AS (
    UPDATE dead_letters d SET state = 'replaying', replayed_at = NULL, changed_at = now()
      FROM locked WHERE d.notification_id = locked.id AND d.replay_epoch = locked.epoch AND d.state || '' = 'replayed'
)
SELECT id FROM locked
"""
"""Locks by id, as claims do. What was claimed by now was published. `|| ''` keeps PostgreSQL, which believes that there are few, from reading
all that were replayed."""

AT_ONCE: Final = 10
"""Batches taken over by one statement."""


async def begin(connection: Connection, entries: Sequence[OutboxEntry]) -> UUID:
    """Enter a batch, ours for `LEASE` seconds, in the transaction that queues its notifications; its id.

    Of one alone the schedulers are told, which look after it if this process dies. Of those that overlap they learn when
    they look after the one before: a replay has some ten a second.
    """
    batch = uuid4()
    [begun] = await connection.fetch(BEGIN, batch, *_columns(entries), LEASE)
    if not begun["others"]:
        await connection.execute(NOTIFY, DUE)
    return batch


class OutboxBatches:
    """Batches that are being published."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, batch: UUID, lease: float = LEASE) -> None:
        """Hold a batch for `lease` seconds more, unless it has been taken over."""
        async with self._database.connection() as connection:
            await connection.execute(KEEP, batch, lease)

    async def close(self, batch: UUID, left: Sequence[OutboxEntry] = ()) -> None:
        """RabbitMQ confirmed a batch.

        Args:
            left: Those that it did not confirm: each becomes an entry of its own.
        """
        if not left:
            async with self._database.connection() as connection:
                await connection.execute(DELETE, batch)
            return
        async with self._database.transaction() as connection:
            await connection.execute(LEAVE, batch, *_columns(left))
            await connection.execute(TAKE_OVER, AT_ONCE)
            await connection.execute(NOTIFY, DUE)

    async def take_over(self) -> int:
        """Make an entry of each notification whose batch nobody holds any more; how many."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(TAKE_OVER, AT_ONCE)
        return len(rows)


def _columns(entries: Sequence[OutboxEntry]) -> tuple[list[UUID], list[int]]:
    return [entry.id for entry in entries], [entry.epoch for entry in entries]
