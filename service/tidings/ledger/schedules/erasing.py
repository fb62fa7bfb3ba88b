"""Erases a person from schedules: from their recipients, with what was stored of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from tidings.ledger.database import Connection, Database
from tidings.ledger.operators.actions import NOTE
from tidings.ledger.schedules.rows import COLUMNS, Schedule

NAMING: Final = f"""
SELECT {COLUMNS} FROM schedules
 WHERE state <> 'deleted' AND ($2::text IS NULL OR tenant = $2) AND ($3::uuid[] IS NULL OR id = ANY($3))
   AND position($1 IN recipients::text || ' ' || content::text) > 0
 ORDER BY id
"""
"""Those that have the longest word of the address or the user's id somewhere: they are read then."""
KEEP: Final = "UPDATE schedules SET recipients = $2::jsonb, updated_at = now() WHERE id = $1"
END: Final = """
UPDATE schedules SET state = 'deleted', next_run_at = NULL, recipients = '[]', content = '{}', updated_at = now() WHERE id = $1
"""


class Erasable(Protocol):
    """Who is to be erased, as `tidings.ledger.erasure` has it."""

    @property
    def tenant(self) -> str | None:
        """Only what is this one's."""

    @property
    def longest_word(self) -> str:
        """Whatever names the person has it in it."""

    def is_in(self, body: bytes) -> bool:
        """Whether JSON names the person."""


@dataclass(frozen=True, slots=True)
class SchedulesNaming:
    """Schedules that name a person."""

    as_recipient: list[UUID] = field(default_factory=list)
    in_content: list[str] = field(default_factory=list)
    """Names of those that have the person in the content for all recipients: only people can say what to send instead."""


class ScheduleErasures:
    """Finds the schedules that name a person, and takes the person out of their recipients."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, person: Erasable) -> SchedulesNaming:
        """The schedules that name a person."""
        found = SchedulesNaming()
        async with self._database.connection() as connection:
            schedules = await _naming(connection, person)
        for schedule in schedules:
            if person.is_in(json.dumps(schedule.content).encode()):
                found.in_content.append(schedule.name)
            if len(_others(schedule, person)) < len(schedule.recipients):
                found.as_recipient.append(schedule.id)
        return found

    async def erase(
        self, person: Erasable, schedules: Sequence[UUID], *, actor: str, why: str
    ) -> int:
        """Take a person out of the recipients of schedules, and delete those without any left; how many changed.

        Args:
            actor: Kept in the audit trail.
            why: Kept there too.
        """
        changed = 0
        async with self._database.transaction() as connection:
            for schedule in await _naming(connection, person, schedules, lock=True):
                others = _others(schedule, person)
                if removed := len(schedule.recipients) - len(others):
                    await _keep(connection, schedule, others, removed, actor=actor, why=why)
                    changed += 1
        return changed


async def _keep(
    connection: Connection,
    schedule: Schedule,
    others: Sequence[object],
    removed: int,
    *,
    actor: str,
    why: str,
) -> None:
    if others:
        await connection.execute(KEEP, schedule.id, json.dumps(others))
    else:
        await connection.execute(END, schedule.id)
    details = {"schedule": str(schedule.id), "tenant": schedule.tenant, "recipients": removed}
    action = "erase from schedule" if others else "delete schedule"
    await connection.execute(NOTE, actor, action, why, json.dumps(details))


async def _naming(
    connection: Connection,
    person: Erasable,
    ids: Sequence[UUID] | None = None,
    *,
    lock: bool = False,
) -> Sequence[Schedule]:
    statement = f"{NAMING} FOR UPDATE" if lock else NAMING
    rows = await connection.fetch(statement, person.longest_word, person.tenant, ids)
    return [Schedule.of(dict(row)) for row in rows]


def _others(schedule: Schedule, person: Erasable) -> list[object]:
    """The recipients without the person."""
    return [
        entry
        for entry in schedule.recipients
        if not person.is_in(
            json.dumps({"recipient": entry} if isinstance(entry, str) else entry).encode()
        )
    ]
