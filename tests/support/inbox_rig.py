"""Inboxes on a real database: messages for them, and what is stored."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tidings.delivery.inbox import InboxChange, InboxMessage
from tidings.ledger.database import Database
from tidings.ledger.inbox.messages import COLUMNS, StoredMessage

PATIENCE = 10.0
"""Seconds for a delivery."""


def message_of(user_id: str = "ada", tenant: str = "default", **fields: Any) -> InboxMessage:
    """A message with an id of its own."""
    values = {
        "id": uuid4(),
        "category": "transactional",
        "type": "message",
        "severity": "info",
        "title": "Hello",
        "body": None,
        "data": None,
        "action_url": None,
        "actions": None,
        "entity_type": None,
        "entity_id": None,
        "expires_at": None,
        **fields,
    }
    return InboxMessage(tenant=tenant, user_id=user_id, **values)


class KeptHints:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.changes: list[InboxChange] = []

    def announce(self, changes: Sequence[InboxChange]) -> None:
        """Keep it."""
        self.changes += changes


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.changes: list[InboxChange] = []
        self.misses = 0

    def hinted(self, hints: Sequence[InboxChange]) -> None:
        """Keep it."""
        self.changes += hints

    def missed(self) -> None:
        """Count it."""
        self.misses += 1


async def stored(
    database: Database, user_id: str = "ada", tenant: str = "default"
) -> list[StoredMessage]:
    """A user's messages, in the order of their last change."""
    async with database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT {COLUMNS} FROM inbox_messages"  # noqa: S608  # names of columns
            " WHERE tenant = $1 AND user_id = $2 ORDER BY revision",
            tenant,
            user_id,
        )
    return [StoredMessage.read(row) for row in rows]


async def revision_of(database: Database, user_id: str = "ada", tenant: str = "default") -> int:
    """A user's revision; 0 if they never had a message."""
    async with database.connection() as connection:
        found = await connection.fetchval(
            "SELECT revision FROM inbox_users WHERE tenant = $1 AND user_id = $2", tenant, user_id
        )
    return found or 0
