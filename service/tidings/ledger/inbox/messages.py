"""A message of an inbox as it is stored, and the conditions of being in the feed, unread, archived, snoozed.

Lists, counts and partial indexes use these same conditions: so no count differs from its list. None depends on the time at
which it is read: that a snooze ends, or a message expires, is a change like any other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

STORED: Final = "deleted_at IS NULL"
FEED: Final = f"archived_at IS NULL AND snoozed_until IS NULL AND {STORED}"
"""Shown to the user, as long as they ask for nothing else."""
UNREAD: Final = f"{FEED} AND read_at IS NULL"
UNSEEN: Final = "seen_at IS NULL"
"""Of those that are unread: reading a message counts as seeing it. No more than this, or a count of both reads the table
besides the index."""
ARCHIVED: Final = f"archived_at IS NOT NULL AND {STORED}"
SNOOZED: Final = f"snoozed_until IS NOT NULL AND archived_at IS NULL AND {STORED}"

EMPTIED: Final = ", ".join(
    f"{column} = NULL"
    for column in ("title", "body", "data", "action_url", "actions", "entity_type", "entity_id")
)
"""For an UPDATE that deletes messages: what is left of one is that it was there."""


@dataclass(frozen=True, slots=True)
class InboxUser:
    """Whose inbox it is. Every statement names both, so that nobody's messages are mixed up with others'."""

    tenant: str
    user_id: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. Of a deleted one all content is None."""

    id: UUID
    """The notification's."""
    position: int
    """The revision with which it entered the feed."""
    revision: int
    """The revision of its last change."""
    category: str
    type: str
    severity: str
    title: str | None
    body: str | None
    data: Mapping[str, Any] | None
    action_url: str | None
    actions: Sequence[Mapping[str, Any]] | None
    entity_type: str | None
    entity_id: str | None
    created_at: datetime
    expires_at: datetime | None
    seen_at: datetime | None
    read_at: datetime | None
    archived_at: datetime | None
    snoozed_until: datetime | None
    acted_at: datetime | None
    action: str | None
    """The id of the action that was taken."""
    deleted_at: datetime | None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "StoredMessage":
        """Of a row with `COLUMNS`."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, **{name: _decoded(values[name]) for name in ("data", "actions")}})


COLUMNS: Final = ", ".join(field.name for field in fields(StoredMessage))
"""For a SELECT's list."""


def _decoded(value: str | None) -> Any:
    return None if value is None else json.loads(value)
