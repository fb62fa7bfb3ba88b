"""Stores the keys of the HTTP API, and tells every process when one changes."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.operators.actions import NOTE

CHANGED: Final = "tidings_api_keys"
"""The channel of NOTIFY about a new or revoked key, and about revoked tokens."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    prefix: str
    """The beginning of the key: its id, and no secret."""
    name: str
    tenant: str
    """`*`: of all tenants."""
    scopes: Sequence[str]
    test: bool
    """Whether it sees and sends nothing but tests."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    """Written every half minute, and at the end of a process."""
    revoked_at: datetime | None
    revoked_by: str | None


_ROW: Final = ", ".join(field.name for field in fields(ApiKey))

CREATE: Final = f"""
INSERT INTO api_keys (prefix, hash, name, tenant, scopes, test, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING {_ROW}
"""
REVOKE: Final = f"""
UPDATE api_keys SET revoked_at = now(), revoked_by = $2 WHERE prefix = $1 AND revoked_at IS NULL RETURNING {_ROW}
"""
ONE: Final = f"SELECT {_ROW} FROM api_keys WHERE prefix = $1"
ALL: Final = f"""
SELECT {_ROW} FROM api_keys
 WHERE ($1::text IS NULL OR tenant = $1) AND ($2 OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
 ORDER BY created_at, prefix
"""
VALID: Final = f"""
SELECT hash, {_ROW} FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""
USE: Final = f"""
UPDATE api_keys SET last_used_at = now()
 WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) RETURNING {_ROW}
"""
TELL: Final = "SELECT pg_notify($1, '')"
USED: Final = """
UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
  FROM unnest($1::text[], $2::timestamptz[]) AS used (prefix, at) WHERE k.prefix = used.prefix
"""


class ApiKeys:
    """The keys, each change with its entry in the audit trail.

    All its methods raise `LedgerUnavailable` if PostgreSQL is unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        prefix: str,
        digest: bytes,
        *,
        name: str,
        tenant: str,
        scopes: Sequence[str],
        test: bool,
        expires_at: datetime | None,
        actor: str,
    ) -> ApiKey:
        """Store a new key by its hash."""
        details = {"key": prefix, "tenant": tenant, "scopes": list(scopes), "test": test}
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                CREATE, prefix, digest, name, tenant, list(scopes), test, actor, expires_at
            )
            await connection.execute(NOTE, actor, "create key", name, json.dumps(details))
            await connection.execute(TELL, CHANGED)
        assert row is not None  # noqa: S101  # an INSERT returns what it inserted
        return ApiKey(**row)

    async def revoke(self, prefix: str, *, actor: str, note: str) -> ApiKey | None:
        """Revoke a key in every process; None if there is none that is not revoked."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(REVOKE, prefix, actor)
            if row is None:
                return None
            await connection.execute(NOTE, actor, "revoke key", note, json.dumps({"key": prefix}))
            await connection.execute(TELL, CHANGED)
        return ApiKey(**row)

    async def find(self, prefix: str) -> ApiKey | None:
        """A key, revoked or not."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ONE, prefix)
        return None if row is None else ApiKey(**row)

    async def list(self, tenant: str | None = None, *, revoked: bool = False) -> Sequence[ApiKey]:
        """Keys, oldest first.

        Args:
            tenant: Only those of this tenant.
            revoked: Also those that are revoked or have expired.
        """
        async with self._database.connection() as connection:
            return [ApiKey(**row) for row in await connection.fetch(ALL, tenant, revoked)]

    async def valid(self) -> Mapping[bytes, ApiKey]:
        """Every valid key by its hash."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(VALID)
        found = [dict(row) for row in rows]
        return {row.pop("hash"): ApiKey(**row) for row in found}

    async def use(self, digest: bytes) -> ApiKey | None:
        """The key with this hash, which is used now; None if there is none that is valid."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(USE, digest)
        return None if row is None else ApiKey(**row)

    async def used(self, last: Mapping[str, datetime]) -> None:
        """Store when keys were used last, by their prefixes."""
        async with self._database.connection() as connection:
            await connection.execute(USED, list(last), list(last.values()))

    def changes(self, wake: asyncio.Event) -> AbstractAsyncContextManager[Callable[[], bool]]:
        """Set `wake` when a key changes; like `Database.listening`."""
        return self._database.listening(CHANGED, wake)
