"""The JSON of entries of the outbox."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import ReplyModel
from tidings.operations.outbox import EntryStatus

EXAMPLE_ID: Final = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
ENTRY: Final[dict[str, Any]] = {
    "id": EXAMPLE_ID,
    "status": "retrying",
    "tenant": "shop",
    "channel": "email",
    "user_id": "user-4711",
    "reason": "RabbitMQ was away",
    "entered_at": "2026-03-01T12:00:00+00:00",
    "failed_publish_count": 2,
    "last_error": "RabbitMQ refused it: its queue is full, or just starting",
    "published_at": None,
    "decided_by": None,
    "decided_at": None,
    "note": None,
    "test": False,
}


class OutboxEntryReply(ReplyModel):
    """A notification that is, or was, in the outbox."""

    id: UUID
    status: EntryStatus
    tenant: str
    channel: str
    user_id: str | None
    reason: str
    entered_at: AwareDatetime
    failed_publish_count: int
    """Publishes that RabbitMQ did not confirm."""
    last_error: str | None
    published_at: AwareDatetime | None
    decided_by: str | None
    decided_at: AwareDatetime | None
    note: str | None
    test: bool
