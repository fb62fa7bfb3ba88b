"""What became of a message after it was delivered, for those who help its user: was it seen, read, archived, deleted?"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidings.delivery.states import State
from tidings.ledger.inbox.messages import InboxUser, StoredMessage
from tidings.ledger.notifications.details import NotificationSummary
from tidings.operations.backend import Backend
from tidings.operations.json_views import renamed


class MessageState(StrEnum):
    """The last that is known of a message."""

    UNSEEN = "unseen"
    SEEN = "seen"
    READ = "read"
    ACTED = "acted"
    """The user took one of its actions."""
    SNOOZED = "snoozed"
    ARCHIVED = "archived"
    EXPIRED = "expired"
    """It was taken out of the inbox when its time was up."""
    DELETED = "deleted"
    REMOVED = "removed"
    """It was deleted longer ago than is kept: no times are known."""


@dataclass(frozen=True, slots=True)
class MessageStateView:
    """What became of a message, with the times. No content."""

    state: MessageState
    delivered_at: datetime | None = None
    seen_at: datetime | None = None
    read_at: datetime | None = None
    acted_at: datetime | None = None
    action: str | None = None
    """The id of the action that was taken."""
    archived_at: datetime | None = None
    snoozed_until: datetime | None = None
    deleted_at: datetime | None = None

    @classmethod
    def of(cls, message: StoredMessage | None) -> "MessageStateView":
        """That of a message that was delivered; None: it is not kept any more."""
        if message is None:
            return cls(MessageState.REMOVED)
        return cls(
            _last(message),
            message.created_at,
            message.seen_at,
            message.read_at,
            message.acted_at,
            message.action,
            message.archived_at,
            message.snoozed_until,
            message.deleted_at,
        )

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return renamed(self, {})


def _last(message: StoredMessage) -> MessageState:
    deleted, expires = message.deleted_at, message.expires_at
    if deleted is not None:
        return (
            MessageState.EXPIRED
            if expires is not None and expires <= deleted
            else MessageState.DELETED
        )
    for moment, state in (
        (message.archived_at, MessageState.ARCHIVED),
        (message.snoozed_until, MessageState.SNOOZED),
        (message.acted_at, MessageState.ACTED),
        (message.read_at, MessageState.READ),
        (message.seen_at, MessageState.SEEN),
    ):
        if moment is not None:
            return state
    return MessageState.UNSEEN


async def state_of(backend: Backend, notification: NotificationSummary) -> MessageStateView | None:
    """What became of a notification of the channel `in_app`; None if it never was in an inbox."""
    if notification.test:
        return None
    user = InboxUser(notification.tenant, notification.recipient)
    message = await backend.ledger.inbox_reading.find(user, notification.id)
    if message is None and notification.state not in {State.SENT, State.DELIVERED}:
        return None
    return MessageStateView.of(message)
