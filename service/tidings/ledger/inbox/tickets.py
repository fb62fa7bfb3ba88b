"""Tickets: each opens one live connection, in any process, in place of the token that it was issued for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidings.ledger.database import Database
from tidings.ledger.inbox.messages import InboxUser

ISSUE: Final = """
INSERT INTO inbox_tickets (hash, tenant, user_id, issued_at, token_expires_at, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6) RETURNING expires_at
"""
TAKE: Final = """
DELETE FROM inbox_tickets WHERE hash = ANY($1::bytea[])
RETURNING hash, tenant, user_id, issued_at, token_expires_at, expires_at > now() AS valid
"""
PURGE: Final = "DELETE FROM inbox_tickets WHERE expires_at < now()"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket stands for."""

    user: InboxUser
    issued_at: datetime | None
    """When the token was issued that it was given for; None if that did not say."""
    token_expires_at: datetime


class Tickets:
    """Tickets by their hashes: the tickets themselves are stored nowhere.

    All its methods raise `LedgerUnavailable` if PostgreSQL is unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, digest: bytes, ticket: Ticket, lifetime: timedelta) -> datetime:
        """Store a new ticket; when it expires."""
        user = ticket.user
        async with self._database.connection() as connection:
            expires_at: datetime = await connection.fetchval(
                ISSUE,
                digest,
                user.tenant,
                user.user_id,
                ticket.issued_at,
                ticket.token_expires_at,
                lifetime,
            )
        return expires_at

    async def take(self, digests: Sequence[bytes]) -> Sequence[Ticket | None]:
        """The ticket with each hash, which nobody can take again; None if there is none that is valid."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(TAKE, digests)
        # Of one that is asked for twice in a statement, the first has it.
        found = {
            row["hash"]: Ticket(
                InboxUser(row["tenant"], row["user_id"]), row["issued_at"], row["token_expires_at"]
            )
            for row in rows
            if row["valid"]
        }
        return [found.pop(digest, None) for digest in digests]

    async def purge(self) -> None:
        """Delete those that have expired."""
        async with self._database.connection() as connection:
            await connection.execute(PURGE)
