"""Discards dead letters, with a note."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from tidings.delivery.states import State, sources
from tidings.ledger.database import Connection, Database

DISCARD: Final = """
WITH open AS (
    SELECT id FROM dead_letters WHERE id = ANY($1::uuid[]) AND state || '' = 'open' ORDER BY id FOR UPDATE
), closed AS (
    UPDATE dead_letters d SET state = 'discarded', note = $2, noted_by = $3, noted_at = now(), actor = $3,
           changed_at = now()
      FROM open WHERE d.id = open.id
    RETURNING d.id, d.notification_id, d.epoch
), found AS (
    SELECT DISTINCT ON (n.id) n.id, n.epoch, n.state AS before, closed.id AS dead_letter
      FROM closed JOIN notifications n ON n.id = closed.notification_id AND n.epoch = closed.epoch
     WHERE n.state = ANY($4::text[])
       AND NOT EXISTS (SELECT FROM dead_letters other
                        WHERE other.notification_id = n.id AND other.state || '' IN ('open', 'replaying')
                          AND other.id NOT IN (SELECT id FROM closed))
), ended AS (
    UPDATE notifications n SET state = 'discarded', updated_at = now()
      FROM found WHERE n.id = found.id AND n.epoch = found.epoch AND n.state = found.before
    RETURNING n.id, n.epoch, found.before, found.dead_letter
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, before, 'discarded', $3, 'dead letter ' || dead_letter || ' discarded: ' || $2::text FROM ended
)
SELECT id FROM closed
"""
"""`|| ''` keeps PostgreSQL from looking through all that are open for those that it is given."""


class Closings:
    """Closes dead letters, each by compare-and-set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def discard(
        self, dead_letters: Sequence[UUID], why: str, *, actor: str
    ) -> Sequence[UUID]:
        """Close dead letters for good; those that were closed. The others were no longer open.

        Args:
            actor: Named in the dead letters and in the history of their notifications.
        """
        async with self._database.transaction() as connection:
            return await discard(connection, dead_letters, why, actor=actor)


async def discard(
    connection: Connection, dead_letters: Sequence[UUID], why: str, *, actor: str
) -> Sequence[UUID]:
    """The same within a transaction."""
    closed = await connection.fetch(
        DISCARD, sorted(dead_letters), why, actor, list(sources(State.DISCARDED))
    )
    return [row["id"] for row in closed]
