"""Keeps who takes care of a group of dead letters, each change with a record in the audit trail."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.dead_letters.notes import ALL_TENANTS

SET: Final = """
WITH owned AS (
    INSERT INTO dead_letter_group_owners (fingerprint, tenant, owner, actor) VALUES ($1, $2, $3, $4)
    ON CONFLICT (fingerprint, tenant) DO UPDATE SET owner = excluded.owner, actor = excluded.actor, set_at = now()
    RETURNING fingerprint, tenant, owner, actor, set_at
), kept AS (
    INSERT INTO operator_actions (actor, action, note, details)
    SELECT actor, 'owner', '', jsonb_build_object('group', fingerprint, 'tenant', tenant, 'owner', owner) FROM owned
)
SELECT tenant, owner, actor, set_at FROM owned
"""
REMOVE: Final = """
WITH removed AS (
    DELETE FROM dead_letter_group_owners WHERE fingerprint = $1 AND tenant = $2 RETURNING fingerprint, tenant
)
INSERT INTO operator_actions (actor, action, note, details)
SELECT $3, 'remove owner', '', jsonb_build_object('group', fingerprint, 'tenant', tenant) FROM removed
RETURNING id
"""
OF_GROUPS: Final = """
SELECT fingerprint, tenant, owner, actor, set_at FROM dead_letter_group_owners
 WHERE fingerprint = ANY($1::text[]) AND ($2::text IS NULL OR tenant = $2)
 ORDER BY fingerprint, tenant
"""


@dataclass(frozen=True, slots=True)
class GroupOwner:
    """Who takes care of a group of dead letters."""

    tenant: str
    """Whose group it is; `*`: that of all tenants together."""
    owner: str
    actor: str
    """Who said so."""
    set_at: datetime


class DeadLetterOwners:
    """Owners of groups of dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(
        self, fingerprint: str, tenant: str | None, owner: str, *, actor: str
    ) -> GroupOwner:
        """Replace the owner of a group, of one tenant's or of all tenants' (None)."""
        values = (fingerprint, tenant or ALL_TENANTS, owner, actor)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(SET, *values)
        assert row is not None  # noqa: S101  # it was inserted or updated
        return GroupOwner(**row)

    async def remove(self, fingerprint: str, tenant: str | None, *, actor: str) -> bool:
        """Remove the owner of a group; False if there is none."""
        values = (fingerprint, tenant or ALL_TENANTS, actor)
        async with self._database.connection() as connection:
            return await connection.fetchval(REMOVE, *values) is not None

    async def of_groups(
        self, fingerprints: Iterable[str], tenant: str | None
    ) -> Mapping[str, Sequence[GroupOwner]]:
        """The owners of groups, by fingerprint: a tenant's own ones, or all (None)."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(OF_GROUPS, sorted(set(fingerprints)), tenant)
        owners = defaultdict[str, list[GroupOwner]](list)
        for row in rows:
            values = dict(row)
            owners[values.pop("fingerprint")].append(GroupOwner(**values))
        return owners
