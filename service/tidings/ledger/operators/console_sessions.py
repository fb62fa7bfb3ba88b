"""Stores the sessions of the console: found by the hash of a token, ended by sign-out, expiry or idleness."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.ledger.database import Database
from tidings.ledger.operators.actions import NOTE


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """One person signed in in one browser."""

    id: UUID
    """Names it in lists; no secret."""
    name: str
    """As the audit trail names the person."""
    tenant: str
    """`*`: all tenants."""
    scopes: Sequence[str]
    test: bool
    """Whether it sees nothing but tests."""
    api_key: str | None
    """Prefix of the key that it was opened with, with which it ends; None: by a single sign-on."""
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


_ROW: Final = ", ".join(field.name for field in fields(ConsoleSession))

OPEN: Final = f"""
INSERT INTO console_sessions (hash, id, name, tenant, scopes, test, api_key, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::float8 * interval '1 second') RETURNING {_ROW}
"""

VALID: Final = """
expires_at > now() AND last_used_at > now() - $2::float8 * interval '1 second'
   AND (api_key IS NULL OR EXISTS (SELECT FROM api_keys k
         WHERE k.prefix = s.api_key AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())))
"""

FIND: Final = f"""
WITH found AS (
    SELECT {_ROW} FROM console_sessions s WHERE hash = $1 AND {VALID}
), used AS (
    UPDATE console_sessions s SET last_used_at = now() FROM found
     WHERE $3 AND s.id = found.id AND found.last_used_at < now() - interval '1 minute'
)
SELECT * FROM found
"""
"""Its use is written once a minute: a page asks for it at each request."""

END: Final = "DELETE FROM console_sessions WHERE hash = $1 RETURNING id"

_SHOWN: Final = "($1::text IS NULL OR tenant = $1) AND (NOT $3 OR test)"

ALL: Final = f"""
SELECT {_ROW} FROM console_sessions s WHERE {_SHOWN} AND {VALID} ORDER BY created_at DESC, id DESC
"""

END_OTHER: Final = f"""
DELETE FROM console_sessions WHERE id = $2 AND {_SHOWN} RETURNING {_ROW}
"""

TIDY: Final = """
DELETE FROM console_sessions WHERE expires_at < now() OR last_used_at < now() - $1::float8 * interval '1 second'
"""


class ConsoleSessions:
    """The sessions. All methods raise `LedgerUnavailable` if PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self,
        digest: bytes,
        id: UUID,
        *,
        name: str,
        tenant: str,
        scopes: Sequence[str],
        test: bool,
        api_key: str | None,
        lasts: float,
        idle: float,
        actor: str,
        subject: str,
    ) -> ConsoleSession:
        """Store a new session with its entry in the audit trail, and delete those that are over.

        Args:
            digest: Hash of its token.
            id: Its id.
            name: The person's.
            tenant: `*`: all.
            scopes: What it permits.
            test: Whether it sees nothing but tests.
            api_key: Prefix of the key that it is opened with.
            lasts: Seconds after which it ends.
            idle: Seconds without a request after which a session ends.
            actor: The person, for the audit trail.
            subject: Id of the person at an OpenID provider; empty if there is none.
        """
        details = {"session": str(id), "tenant": tenant, "scopes": list(scopes), "test": test}
        proof = {"key": api_key} if api_key else {"subject": subject}
        async with self._database.transaction() as connection:
            await connection.execute(TIDY, idle)
            await connection.execute(NOTE, actor, "sign in", "", json.dumps({**details, **proof}))
            row = await connection.fetchrow(
                OPEN, digest, id, name, tenant, list(scopes), test, api_key, lasts
            )
        assert row is not None  # noqa: S101  # an INSERT returns what it inserted
        return ConsoleSession(**row)

    async def find(self, digest: bytes, *, idle: float, used: bool) -> ConsoleSession | None:
        """The session of a token; None if there is none or it is over.

        Args:
            digest: Hash of the token.
            idle: Seconds without a use after which a session ends.
            used: Whether it is used now.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(FIND, digest, idle, used)
        return None if row is None else ConsoleSession(**row)

    async def end(self, digest: bytes, *, actor: str | None) -> None:
        """Delete the session of a token, if there is one.

        Args:
            digest: Hash of the token.
            actor: Who signs out, for the audit trail; None: it is replaced by another.
        """
        async with self._database.transaction() as connection:
            ended = await connection.fetchval(END, digest)
            if ended is not None and actor is not None:
                details = json.dumps({"session": str(ended)})
                await connection.execute(NOTE, actor, "sign out", "", details)

    async def list(
        self, tenant: str | None, *, only_tests: bool, idle: float
    ) -> Sequence[ConsoleSession]:
        """Those that are not over, the newest first.

        Args:
            tenant: Only those of this tenant.
            only_tests: Only those that see tests only.
            idle: Seconds without a request after which a session ends.
        """
        async with self._database.connection() as connection:
            return [
                ConsoleSession(**row)
                for row in await connection.fetch(ALL, tenant, idle, only_tests)
            ]

    async def end_other(
        self, id: UUID, tenant: str | None, *, only_tests: bool, actor: str, note: str
    ) -> ConsoleSession | None:
        """Delete a session by its id, with an entry in the audit trail; None if there is none."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(END_OTHER, tenant, id, only_tests)
            if row is None:
                return None
            ended = ConsoleSession(**row)
            details = json.dumps({"session": str(id), "name": ended.name, "tenant": ended.tenant})
            await connection.execute(NOTE, actor, "end session", note, details)
        return ended
