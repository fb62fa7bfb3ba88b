"""Stores from when on tokens of a user count, and tells every process when that changes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.operators.actions import NOTE
from tidings.ledger.operators.api_keys import CHANGED, TELL

# Tokens tell their time in whole seconds, so one of the second that is under way may be older: it counts as revoked.
REVOKE: Final = """
INSERT INTO user_token_revocations AS r (tenant, user_id, not_before)
VALUES ($1, $2, date_trunc('second', clock_timestamp()) + interval '1 second')
    ON CONFLICT (tenant, user_id) DO UPDATE SET not_before = greatest(r.not_before, excluded.not_before)
RETURNING not_before
"""
SINCE: Final = (
    "SELECT tenant, user_id, not_before FROM user_token_revocations WHERE not_before >= $1"
)
ALL: Final = "SELECT tenant, user_id, not_before FROM user_token_revocations"


@dataclass(frozen=True, slots=True)
class TokenRevocation:
    """A user whose tokens count only if they were issued at a time or later."""

    tenant: str
    user_id: str
    not_before: datetime


class TokenRevocations:
    """The revocations, each with its entry in the audit trail.

    All its methods raise `LedgerUnavailable` if PostgreSQL is unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revoke(self, tenant: str, user_id: str, *, actor: str, note: str) -> TokenRevocation:
        """Revoke all tokens of a user that were issued until now."""
        # The trail outlives an erasure, so it has no user in it.
        user = sha256(user_id.encode()).hexdigest()[:16]
        details = {"tenant": tenant, "user_sha256": user}
        async with self._database.transaction() as connection:
            not_before = await connection.fetchval(REVOKE, tenant, user_id)
            await connection.execute(NOTE, actor, "revoke tokens", note, json.dumps(details))
            await connection.execute(TELL, CHANGED)
        return TokenRevocation(tenant, user_id, not_before)

    async def since(self, moment: datetime | None) -> Sequence[TokenRevocation]:
        """Revocations of tokens that were issued then or later, in no order; all if it is None."""
        async with self._database.connection() as connection:
            rows = await (
                connection.fetch(ALL) if moment is None else connection.fetch(SINCE, moment)
            )
        return [TokenRevocation(**dict(row)) for row in rows]
