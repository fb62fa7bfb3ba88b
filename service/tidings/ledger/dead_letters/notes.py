"""Keeps notes of operators on dead letters and on groups of them, each with a record in the audit trail."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.ledger.database import Database

ALL_TENANTS: Final = "*"
"""The tenant of a note on a group of all tenants together."""
MOST_NAMED: Final = 6
"""Groups that are looked at to see whether some first digits mean one only."""

ANNOTATE: Final = """
WITH noted AS (
    UPDATE dead_letters
       SET note = $2, noted_by = CASE WHEN $2::text IS NOT NULL THEN $3::text END,
           noted_at = CASE WHEN $2::text IS NOT NULL THEN now() END, actor = $3, changed_at = now()
     WHERE id = $1 AND state = 'open'
    RETURNING id
)
INSERT INTO operator_actions (actor, action, note, details)
SELECT $3, CASE WHEN $2::text IS NULL THEN 'remove note' ELSE 'note' END, coalesce($2::text, ''),
       jsonb_build_object('dead_letter', id) FROM noted
RETURNING id
"""
ANNOTATE_GROUP: Final = """
WITH noted AS (
    INSERT INTO dead_letter_group_notes (fingerprint, tenant, note, actor) VALUES ($1, $2, $3, $4)
    ON CONFLICT (fingerprint, tenant) DO UPDATE SET note = excluded.note, actor = excluded.actor, noted_at = now()
    RETURNING fingerprint, tenant, note, actor, noted_at
), kept AS (
    INSERT INTO operator_actions (actor, action, note, details)
    SELECT actor, 'note', note, jsonb_build_object('group', fingerprint, 'tenant', tenant) FROM noted
)
SELECT tenant, note, actor, noted_at FROM noted
"""
REMOVE_FROM_GROUP: Final = """
WITH removed AS (
    DELETE FROM dead_letter_group_notes WHERE fingerprint = $1 AND tenant = $2 RETURNING fingerprint, tenant
)
INSERT INTO operator_actions (actor, action, note, details)
SELECT $3, 'remove note', '', jsonb_build_object('group', fingerprint, 'tenant', tenant) FROM removed
RETURNING id
"""
OF_GROUPS: Final = """
SELECT fingerprint, tenant, note, actor, noted_at FROM dead_letter_group_notes
 WHERE fingerprint = ANY($1::text[]) AND ($2::text IS NULL OR tenant = $2)
 ORDER BY fingerprint, tenant
"""
NAMED: Final = """
SELECT DISTINCT fingerprint
  FROM (SELECT tenant, fingerprint FROM dead_letter_hours
         UNION ALL SELECT tenant, fingerprint FROM dead_letter_deltas
         UNION ALL SELECT nullif(tenant, '*'), fingerprint FROM dead_letter_group_notes
         UNION ALL SELECT nullif(tenant, '*'), fingerprint FROM dead_letter_group_owners) AS known
 WHERE starts_with(fingerprint, $1) AND ($2::text IS NULL OR tenant = $2)
 ORDER BY fingerprint LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class GroupNote:
    """A note on a group of dead letters."""

    tenant: str
    """Whose group it is about; `*`: that of all tenants together."""
    note: str
    actor: str
    noted_at: datetime


class DeadLetterNotes:
    """Notes on dead letters and on their groups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def annotate(self, dead_letter: UUID, note: str | None, *, actor: str) -> bool:
        """Replace the note of a dead letter, or remove it (None); False if it is not open."""
        async with self._database.connection() as connection:
            return await connection.fetchval(ANNOTATE, dead_letter, note, actor) is not None

    async def annotate_group(
        self, fingerprint: str, tenant: str | None, note: str, *, actor: str
    ) -> GroupNote:
        """Replace the note of a group, of one tenant's or of all tenants' (None)."""
        place = tenant or ALL_TENANTS
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ANNOTATE_GROUP, fingerprint, place, note, actor)
        assert row is not None  # noqa: S101  # it was inserted or updated
        return GroupNote(**row)

    async def remove_from_group(self, fingerprint: str, tenant: str | None, *, actor: str) -> bool:
        """Remove the note of a group; False if there is none."""
        values = (fingerprint, tenant or ALL_TENANTS, actor)
        async with self._database.connection() as connection:
            return await connection.fetchval(REMOVE_FROM_GROUP, *values) is not None

    async def of_groups(
        self, fingerprints: Iterable[str], tenant: str | None
    ) -> Mapping[str, Sequence[GroupNote]]:
        """The notes of groups, by fingerprint: a tenant's own ones, or all (None)."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(OF_GROUPS, sorted(set(fingerprints)), tenant)
        notes = defaultdict[str, list[GroupNote]](list)
        for row in rows:
            values = dict(row)
            notes[values.pop("fingerprint")].append(GroupNote(**values))
        return notes

    async def groups_named(self, prefix: str, tenant: str | None) -> Sequence[str]:
        """Fingerprints of known groups that begin so, a few at most: open, seen in the last weeks, or with a note or owner."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(NAMED, prefix, tenant, MOST_NAMED)
        return [row["fingerprint"] for row in rows]
