"""Closes dead letters: discarded with a reason, or superseded by an edited one."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from asyncpg import Record

from tidings.delivery.attempt import Attempt
from tidings.delivery.burying import REPLAYABLE, Standing
from tidings.delivery.errors import Refused
from tidings.delivery.letter import LetterState, lane_of
from tidings.delivery.states import State, sources
from tidings.ledger import rows
from tidings.ledger.database import Connection, Database
from tidings.ledger.letter_replay import ExpiresAt
from tidings.ledger.letter_rows import INTRODUCE_FAILED, STANDING, Introduced, standing
from tidings_events import Notification, parse

DISCARD: Final = """
WITH open AS (
    SELECT id FROM dead_letters WHERE id = ANY($1::uuid[]) AND state = 'buried' ORDER BY id FOR UPDATE
), closed AS (
    UPDATE dead_letters d SET state = 'discarded', note = $2, actor = $3, changed_at = now()
      FROM open WHERE d.id = open.id
    RETURNING d.id, d.notification_id, d.epoch
), found AS (
    SELECT DISTINCT ON (n.id) n.id, n.epoch, n.state AS before, closed.id AS letter
      FROM closed JOIN notifications n ON n.id = closed.notification_id AND n.epoch = closed.epoch
     WHERE n.state = ANY($4::text[])
       AND NOT EXISTS (SELECT FROM dead_letters other
                        WHERE other.notification_id = n.id AND other.state IN ('buried', 'replaying')
                          AND other.id NOT IN (SELECT id FROM closed))
), ended AS (
    UPDATE notifications n SET state = 'discarded', updated_at = now()
      FROM found WHERE n.id = found.id AND n.epoch = found.epoch AND n.state = found.before
    RETURNING n.id, n.epoch, found.before, found.letter
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, before, 'discarded', $3, 'dead letter ' || letter || ' discarded: ' || $2::text FROM ended
)
SELECT id FROM closed
"""

LOCK: Final = """
SELECT id, state, notification_id, epoch, reason, kind, message, routing_key, buried_at
  FROM dead_letters WHERE id = $1 FOR UPDATE
"""

REWRITE: Final = f"""
UPDATE notifications n
   SET channel = i.channel, priority = i.priority, category = i.category, recipient = i.recipient,
       user_id = i.user_id, entity_type = i.entity_type, entity_id = i.entity_id, body = i.body,
       idempotency_key = i.idempotency_key, scheduled_at = i.scheduled_at, expires_at = i.expires_at,
       updated_at = now()
  FROM unnest({rows.COLUMNS.parameters()}) AS i ({rows.COLUMNS.names})
 WHERE n.id = i.id
"""

SUPERSEDE: Final = """
WITH old AS (
    UPDATE dead_letters SET state = 'superseded', note = 'edited: ' || $2::uuid || ' stands in its place', actor = $3,
           changed_at = now()
     WHERE id = $1
    RETURNING *
)
INSERT INTO dead_letters (id, notification_id, epoch, state, reason, kind, code, message, provider, fingerprint,
                          channel, priority, category, recipient, user_id, entity_type, entity_id, attempts,
                          first_failed_at, last_failed_at, buried_at, exchange, routing_key, content_type, headers,
                          body, actor, note, supersedes)
SELECT $2, $4, $5, 'buried', reason, kind, code, message, provider, fingerprint,
       $6, $7, $8, $9, $10, $11, $12, attempts,
       first_failed_at, last_failed_at, buried_at, exchange, $13, 'application/json', headers,
       $14, $3, 'edited', id
  FROM old
"""

NOTE: Final = """
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason) VALUES ($1, $2, $3, $3, $4, $5)
"""


class Closings:
    """Closes letters, each by compare-and-set.

    Args:
        actor: Named in the letters and in the history of their notifications.
    """

    def __init__(self, database: Database, *, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def discard(self, letters: Sequence[UUID], why: str) -> Sequence[UUID]:
        """Close letters for good; those that were closed. The others were no longer buried."""
        async with self._database.transaction() as connection:
            closed = await connection.fetch(
                DISCARD, sorted(letters), why, self._actor, list(sources(State.DISCARDED))
            )
        return [row["id"] for row in closed]

    async def supersede(self, letter: UUID, body: bytes, *, expires_at: ExpiresAt) -> UUID:
        """Bury an edited letter in place of one; the new letter's id.

        Args:
            body: The whole notification. It keeps its id, where it had one that could be read.

        Raises:
            InvalidNotification: The body can't be read.
            Refused: The letter is not buried any more, or its notification has moved on.
        """
        notification = parse(body)
        async with self._database.transaction() as connection:
            old = await self._locked(connection, letter, notification)
            epoch = await self._rewrite(connection, old, notification, body, expires_at)
            new = uuid4()
            await connection.execute(
                SUPERSEDE,
                letter,
                new,
                self._actor,
                notification.id,
                epoch,
                *_told(old, notification),
                body,
            )
        return new

    async def _locked(
        self, connection: Connection, letter: UUID, notification: Notification
    ) -> Record:
        old = await connection.fetchrow(LOCK, letter)
        if old is None:
            raise Refused(f"there is no dead letter {letter}")
        if old["state"] != LetterState.BURIED:
            raise Refused(
                f"dead letter {letter} is {old['state']}: only a buried one can be edited"
            )
        if old["notification_id"] not in {None, notification.id}:
            raise Refused(
                f"the id has to stay {old['notification_id']}: for another notification, publish it"
            )
        return old

    async def _rewrite(
        self,
        connection: Connection,
        old: Record,
        notification: Notification,
        body: bytes,
        expires_at: ExpiresAt,
    ) -> int:
        """Give the notification its new body; the epoch it is in."""
        row = await connection.fetchrow(STANDING, [notification.id])
        accepted_at = row["accepted_at"] if row is not None else old["buried_at"]
        lane = lane_of(notification, old["routing_key"], ())
        assert lane is not None  # noqa: S101  # for the type checker: what can be read has a lane
        attempt = Attempt(notification, body, lane, 0, 0, accepted_at)
        values = rows.columns([Introduced(attempt, expires_at(attempt))])
        if row is None:
            failure = [[old[name]] for name in ("reason", "kind", "message")]
            await connection.execute(INTRODUCE_FAILED, *values, *failure)
            return 0
        now = standing(row)
        _check(old, notification, now)
        await connection.execute(REWRITE, *values)
        said = f"dead letter {old['id']} edited"
        await connection.execute(
            NOTE, notification.id, now.epoch, now.state.value, self._actor, said
        )
        return now.epoch


def _check(old: Record, notification: Notification, now: Standing) -> None:
    """Whether an edited letter may change this notification."""
    if old["notification_id"] is None:
        raise Refused(
            f"there is a notification {notification.id} already, and it is {now.state}: "
            "give this one an id of its own, or discard its letter"
        )
    if now.state not in REPLAYABLE or now.epoch != old["epoch"]:
        raise Refused(
            f"notification {notification.id} is {now.state} in epoch {now.epoch}: "
            "a letter can be edited while its notification has failed and was not replayed since"
        )


def _told(old: Record, notification: Notification) -> list[Any]:
    """channel, priority, category, recipient, user_id, entity_type, entity_id, routing_key."""
    lane = lane_of(notification, old["routing_key"], ())
    assert lane is not None  # noqa: S101  # for the type checker: what can be read has a lane
    entity = notification.entity
    return [
        lane.channel,
        lane.priority,
        notification.category,
        notification.recipient,
        notification.user_id,
        entity.type if entity else None,
        entity.id if entity else None,
        lane.key,
    ]
