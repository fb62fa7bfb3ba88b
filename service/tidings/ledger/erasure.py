"""Erases a person from what has ended: addresses, texts and headers go, the history of states stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.ledger.database import Database
from tidings.ledger.steps import steps

AT_ONCE: Final = 500
"""Notifications, or dead letters, that are erased in one transaction."""
LONGEST: Final = 600.0
"""Seconds that reading all dead letters may take."""

_PERSON: Final = """
($1::text IS NULL OR recipient = $1 OR position(convert_to($1, 'UTF8') IN body) > 0)
AND ($2::text IS NULL OR user_id = $2)
"""
NOTIFICATIONS: Final = f"""
SELECT id, finished_at IS NOT NULL AS ended FROM notifications
 WHERE {_PERSON} AND accepted_at >= coalesce($3::timestamptz, '-infinity') AND accepted_at < coalesce($4::timestamptz, 'infinity')
"""
LETTERS: Final = f"""
SELECT id, state FROM dead_letters
 WHERE ({_PERSON}) OR notification_id = ANY($3::uuid[])
"""
ERASE: Final = """
WITH erased AS (
    UPDATE notifications SET recipient = 'erased', user_id = NULL, body = '{}', properties = NULL, idempotency_key = NULL
     WHERE id = ANY($1::uuid[]) AND finished_at IS NOT NULL
    RETURNING id, epoch, state
), addresses AS (
    UPDATE recipient_results r SET address = 'erased ' || gen_random_uuid() FROM erased WHERE r.notification_id = erased.id
)
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, state, state, $2, 'erased: ' || $3::text FROM erased
"""
ERASE_LETTERS: Final = """
UPDATE dead_letters SET recipient = 'erased', user_id = NULL, body = '{}', headers = '{}', properties = '{}',
       note = 'erased: ' || $3::text, actor = $2
 WHERE id = ANY($1::uuid[]) AND state NOT IN ('buried', 'replaying')
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is to be erased: by their address, or by a producer's id of them."""

    recipient: str | None = None
    """As it is written in notifications, in full; also as a copy's, or in a text."""
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Traces:
    """What is stored of a person."""

    ended: tuple[UUID, ...]
    """Notifications."""
    unfinished: tuple[UUID, ...]
    closed: tuple[UUID, ...]
    """Dead letters."""
    open: tuple[UUID, ...]
    replaying: tuple[UUID, ...]


class Erasures:
    """Finds what is stored of a person, and erases it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, person: Person) -> Traces:
        """Everything, however long it takes: for an address every notification is read.

        Raises:
            LedgerUnavailable: PostgreSQL is away.
        """
        who = (person.recipient, person.user_id)
        ended, unfinished = list[UUID](), list[UUID]()
        async with self._database.connection() as connection:
            if person.recipient is None:
                rows = await connection.fetch(NOTIFICATIONS, *who, None, None, timeout=LONGEST)
                _part(rows, ended, unfinished)
            else:
                async for since, until in steps(connection, None, None):
                    _part(
                        await connection.fetch(NOTIFICATIONS, *who, since, until), ended, unfinished
                    )
            letters = await connection.fetch(LETTERS, *who, [*ended, *unfinished], timeout=LONGEST)
        by_state = {"buried": list[UUID](), "replaying": list[UUID]()}
        closed = list[UUID]()
        for row in letters:
            by_state.get(row["state"], closed).append(row["id"])
        return Traces(
            tuple(ended),
            tuple(unfinished),
            tuple(closed),
            tuple(by_state["buried"]),
            tuple(by_state["replaying"]),
        )

    async def erase(self, traces: Traces, *, actor: str, why: str) -> None:
        """Erase what has ended, and dead letters that are closed. Each keeps who did it, when and why."""
        await self._each(ERASE, traces.ended, actor, why)
        await self._each(ERASE_LETTERS, (*traces.closed, *traces.open), actor, why)

    async def _each(self, statement: str, ids: Sequence[UUID], actor: str, why: str) -> None:
        for first in range(0, len(ids), AT_ONCE):
            async with self._database.connection() as connection:
                await connection.execute(statement, ids[first : first + AT_ONCE], actor, why)


def _part(rows: Sequence[Any], ended: list[UUID], unfinished: list[UUID]) -> None:
    for row in rows:
        (ended if row["ended"] else unfinished).append(row["id"])
