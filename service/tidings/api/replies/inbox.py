"""The JSON of an inbox: messages, pages of them, counts, and what a mark has changed."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import EXAMPLE_CURSOR, PageReply


class MessageActionReply(ReplyModel):
    """A button of a message."""

    id: str
    label: str
    url: str | None
    """Where it leads; null if the application handles it by its id."""


class MessageEntityReply(ReplyModel):
    """The thing that a message is about."""

    type: str
    id: str | None


class MessageReply(ReplyModel):
    """A message. Of a deleted one all content is null."""

    id: UUID
    """The notification's."""
    position: int
    """The revision with which it entered the feed. Lists are ordered by it, highest first; it rises when a snooze ends."""
    revision: int
    """The revision of its last change."""
    title: str | None
    body: str | None
    category: str
    type: str
    severity: str
    """`info`, `success`, `warning` or `critical`."""
    data: dict[str, Any] | None
    """As its producer wrote it."""
    action_url: str | None
    actions: list[MessageActionReply] | None
    entity: MessageEntityReply | None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    seen_at: AwareDatetime | None
    read_at: AwareDatetime | None
    archived_at: AwareDatetime | None
    snoozed_until: AwareDatetime | None
    acted_at: AwareDatetime | None
    action: str | None
    """The id of the action that was taken."""
    deleted_at: AwareDatetime | None


class InboxCountsReply(ReplyModel):
    """Messages of the feed that wait."""

    unread: int
    unseen: int


class InboxPageReply(PageReply[MessageReply], use_attribute_docstrings=True):
    """Messages with the state of the inbox at the same moment."""

    revision: int
    """Of what is shown; `since` of the next question for changes."""
    counts: InboxCountsReply
    reset: bool
    """Whether changes are not known that far back: load the lists anew. Always false without `since`."""


class UnreadCountReply(ReplyModel):
    """Unread messages of the feed."""

    revision: int
    unread: int
    unseen: int
    by_type: dict[str, int]
    """Unread ones of each type."""
    by_category: dict[str, int]
    """Unread ones of each category."""


class TalliesReply(ReplyModel):
    """How many messages match each filter, in their order."""

    revision: int
    counts: list[int]


class MarkedReply(ReplyModel):
    """The state of the inbox after a mark."""

    revision: int
    counts: InboxCountsReply
    changed: int
    """Messages that were not so before."""


MESSAGE: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "position": 41,
    "revision": 41,
    "title": "Your order has shipped",
    "body": "It arrives tomorrow.",
    "category": "transactional",
    "type": "order_shipped",
    "severity": "info",
    "data": {"order": 10042},
    "action_url": "/orders/10042",
    "actions": [{"id": "track", "label": "Track it", "url": "/orders/10042/track"}],
    "entity": {"type": "order", "id": "10042"},
    "created_at": "2026-11-29T17:31:02.120000+00:00",
    "expires_at": None,
    "seen_at": None,
    "read_at": None,
    "archived_at": None,
    "snoozed_until": None,
    "acted_at": None,
    "action": None,
    "deleted_at": None,
}
COUNTS: Final = {"unread": 3, "unseen": 1}
INBOX_PAGE: Final[dict[str, Any]] = {
    "data": [MESSAGE],
    "next_cursor": EXAMPLE_CURSOR,
    "revision": 41,
    "counts": COUNTS,
    "reset": False,
}
UNREAD_COUNT: Final[dict[str, Any]] = {
    "revision": 41,
    **COUNTS,
    "by_type": {"order_shipped": 2, "message": 1},
    "by_category": {"transactional": 3},
}
TALLIES: Final[dict[str, Any]] = {"revision": 41, "counts": [3, 12]}
MARKED: Final[dict[str, Any]] = {"revision": 42, "counts": {"unread": 2, "unseen": 1}, "changed": 1}
