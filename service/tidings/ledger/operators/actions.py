"""Keeps a record of erasures and deletions by operators."""

import json
from typing import Final

from tidings.ledger.database import Database

NOTE: Final = (
    "INSERT INTO operator_actions (actor, action, note, details) VALUES ($1, $2, $3, $4::jsonb)"
)


class Actions:
    """Append-only record of erasures and deletions; retention keeps it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, actor: str, action: str, note: str, details: object) -> None:
        """Keep an action.

        Args:
            note: As it was typed.
            details: What JSON can say; names no person.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
            ConfigurationError: The database's user may not.
        """
        async with self._database.connection() as connection:
            await connection.execute(NOTE, actor, action, note, json.dumps(details))
