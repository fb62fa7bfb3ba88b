"""The same id with other content: never sent, and noted in the notification's history, once for each content and
producer.

What is sent is what was stored first, or what a person made of it by editing its dead letter. Only messages that
could not be claimed are looked at: a claim takes none that differs from what is stored.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

from tidings.delivery.attempt import Attempt
from tidings.delivery.large_content import with_large_content
from tidings.delivery.properties import producer, properties_of
from tidings.delivery.states import FINISHED, State
from tidings.ledger.database import Connection
from tidings.ledger.notifications.idempotency import KeyUse, forget
from tidings_events import InvalidNotification, Notification, parse

PUBLISHED_AGAIN: Final = "published again with other content"
"""How every such note begins."""
RESCHEDULED: Final = "rescheduled"
"""How the note begins of one that a person gave another due time: its body has that time."""
MOST: Final = 20
"""Notes for one notification: a producer that has but one id makes no history without end."""
_SHOWN: Final = 16
"""Digits of a hash."""

GIVEN_ANOTHER_TIME: Final = f"""
EXISTS (SELECT FROM transitions t WHERE t.notification_id = n.id AND t.before = 'scheduled' AND t.after = 'scheduled'
           AND t.reason LIKE '{RESCHEDULED} %')
"""

BODIES: Final = f"""
SELECT id, body, {GIVEN_ANOTHER_TIME} AS rescheduled FROM notifications n WHERE id = ANY($1::uuid[])
"""

NOTE: Final = f"""
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT n.id, n.epoch, n.state, n.state, $1::text, note
  FROM notifications n JOIN unnest($2::uuid[], $3::text[]) AS conflict (id, note) USING (id)
 WHERE NOT EXISTS (SELECT FROM transitions t WHERE t.notification_id = n.id AND t.reason = note)
   AND (SELECT count(*) FROM transitions t
         WHERE t.notification_id = n.id AND t.reason LIKE '{PUBLISHED_AGAIN}%') < {MOST}
"""


class DifferingMessage(NamedTuple):
    """A message that differs from the notification that is stored under its id."""

    attempt: Attempt
    stored: bytes
    """The body."""
    rescheduled: bool = False
    """Whether it was given another due time than its producer had written."""

    @property
    def alike(self) -> bool:
        """Whether it is only written otherwise: a client may order its fields differently each time."""
        notification = with_large_content(self.attempt).notification
        return is_body_of(notification, self.stored, rescheduled=self.rescheduled)


def is_body_of(notification: Notification, body: bytes, *, rescheduled: bool = False) -> bool:
    """Whether a body says the same, however it is written.

    Args:
        rescheduled: Whether the body may have another due time.
    """
    try:
        stored = parse(body)
    except InvalidNotification:
        return False
    if rescheduled and stored.channel == notification.channel:
        due = {"scheduled_at": stored.scheduled_at}
        return stored == notification.model_copy(update=due)
    return stored == notification


async def unlike(
    connection: Connection, attempts: Sequence[Attempt], known: Mapping[UUID, Mapping[str, Any]]
) -> list[DifferingMessage]:
    """Which of these messages are not, byte for byte, what is stored.

    Args:
        attempts: Of notifications that are stored, and were not claimed by these messages.
        known: How they stand.
    """
    contents = {attempt.id: sha256(attempt.body).digest() for attempt in attempts}
    other = {
        attempt.id: attempt
        for attempt in attempts
        if known[attempt.id]["content"] != contents[attempt.id]
    }
    if not other:
        return []
    found = await connection.fetch(BODIES, list(other))
    return [
        DifferingMessage(other[row["id"]], bytes(row["body"]), row["rescheduled"]) for row in found
    ]


async def note_conflicts(
    connection: Connection,
    conflicts: Sequence[DifferingMessage],
    known: Mapping[UUID, Mapping[str, Any]],
    actor: str,
) -> None:
    """Note what is not sent, and let go of keys that only it would have held.

    Args:
        conflicts: Messages that say something else than what is stored.
        known: How the notifications stand.
        actor: Named in the history.
    """
    notes = {
        conflict.attempt.id: _note(conflict)
        for conflict in conflicts
        if not _outdated(conflict, known[conflict.attempt.id])
    }
    if notes:
        await connection.execute(NOTE, actor, list(notes), list(notes.values()))
    await forget(
        connection, [use for conflict in conflicts if (use := _its_own_key(conflict)) is not None]
    )


def _outdated(conflict: DifferingMessage, row: Mapping[str, Any]) -> bool:
    """Whether it is a message of ours from before its dead letter was edited."""
    message = conflict.attempt.message
    if message is None or not message.ours:
        return False
    return row["epoch"] != conflict.attempt.epoch or State(row["state"]) in FINISHED


def _its_own_key(message: DifferingMessage) -> KeyUse | None:
    """An idempotency key that is not the stored notification's, with the same recipient."""
    use = KeyUse.of(message.attempt.notification)
    try:
        return None if use == KeyUse.of(parse(message.stored)) else use
    except InvalidNotification:
        return use


def _note(conflict: DifferingMessage) -> str:
    message = conflict.attempt.message
    properties = properties_of(message) if message is not None else None
    new, old = (
        sha256(body).hexdigest()[:_SHOWN] for body in (conflict.attempt.body, conflict.stored)
    )
    return (
        f"{PUBLISHED_AGAIN} by {producer(properties)}: "
        f"sha256 {new}…, where {old}… is stored; the other content is not sent"
    )
