"""Erases a person from schedules: from their recipients, with what was stored of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from tidings.ledger.database import Connection
from tidings.ledger.operators.actions import NOTE
from tidings.ledger.schedules.rows import COLUMNS, Schedule

if TYPE_CHECKING:
    from tidings.ledger.erasure import Person

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


@dataclass(frozen=True, slots=True)
class SchedulesNaming:
    """Schedules that name a person."""

    as_recipient: list[UUID] = field(default_factory=list)
    in_content: list[str] = field(default_factory=list)
    """Names of those that have the person in the content for all recipients: only people can say what to send instead."""


async def find(connection: Connection, person: "Person") -> SchedulesNaming:
    """The schedules that name a person."""
    found = SchedulesNaming()
    for schedule in await _naming(connection, person):
        if person.is_in(json.dumps(schedule.content).encode()):
            found.in_content.append(schedule.name)
        if len(_others(schedule, person)) < len(schedule.recipients):
            found.as_recipient.append(schedule.id)
    return found


async def erase(
    connection: Connection, person: "Person", ids: Sequence[UUID], *, actor: str, why: str
) -> int:
    """Take a person out of the recipients of schedules, and delete those that have no recipient left; how many changed.

    Args:
        connection: In a transaction.
        person: Whom.
        ids: Of schedules.
        actor: Kept in the audit trail.
        why: Kept there too.
    """
    changed = 0
    for schedule in await _naming(connection, person, ids, lock=True):
        others = _others(schedule, person)
        removed = len(schedule.recipients) - len(others)
        if not removed:
            continue
        if others:
            await connection.execute(KEEP, schedule.id, json.dumps(others))
        else:
            await connection.execute(END, schedule.id)
        details = {"schedule": str(schedule.id), "tenant": schedule.tenant, "recipients": removed}
        action = "erase from schedule" if others else "delete schedule"
        await connection.execute(NOTE, actor, action, why, json.dumps(details))
        changed += 1
    return changed


async def _naming(
    connection: Connection,
    person: "Person",
    ids: Sequence[UUID] | None = None,
    *,
    lock: bool = False,
) -> Sequence[Schedule]:
    statement = f"{NAMING} FOR UPDATE" if lock else NAMING
    rows = await connection.fetch(statement, person.longest_word, person.tenant, ids)
    return [Schedule.of(dict(row)) for row in rows]


def _others(schedule: Schedule, person: "Person") -> list[object]:
    """The recipients without the person."""
    return [
        entry
        for entry in schedule.recipients
        if not person.is_in(
            json.dumps({"recipient": entry} if isinstance(entry, str) else entry).encode()
        )
    ]
