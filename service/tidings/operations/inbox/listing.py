"""What a user's inbox has: a page of messages, what has changed, one message, counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.ledger.inbox.filters import MessageFilter
from tidings.ledger.inbox.messages import InboxUser, StoredMessage
from tidings.ledger.inbox.reading import NEWEST, UnreadTally
from tidings.operations import cursors
from tidings.operations.backend import Backend
from tidings.operations.inbox.views import InboxView, MessageView
from tidings.operations.pages import page_of

__all__ = [
    "ChangesRequest",
    "InboxListRequest",
    "InboxUser",
    "MessageFilter",
    "TalliesView",
    "UnreadTally",
    "changes",
    "counts",
    "list_",
    "show",
    "unread",
]

DEFAULT_LIMIT: Final = 20
FEED_OF_USER: Final = MessageFilter()
"""All that is in the feed."""


@dataclass(frozen=True, slots=True)
class InboxListRequest:
    """A page of a list of messages."""

    user: InboxUser
    wanted: MessageFilter = FEED_OF_USER
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    """Where the list goes on, as a page of the same user with the same filter says."""


@dataclass(frozen=True, slots=True)
class ChangesRequest:
    """What has changed."""

    user: InboxUser
    since: int
    """The revision that the client has."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class TalliesView:
    """How many messages match each of several filters, at one moment."""

    revision: int
    counts: Sequence[int]


async def list_(backend: Backend, request: InboxListRequest) -> InboxView:
    """The newest messages that match.

    Raises:
        InvalidRequest: The cursor is none, or of another list; or two lists are asked for at once.
    """
    check_filter(request.wanted)
    listed, before = (request.user, request.wanted), NEWEST
    if request.cursor is not None:
        before = cursors.decode(request.cursor, listed, _position)
    found = await backend.ledger.inbox_reading.page(
        request.user, request.wanted, request.limit + 1, before=before
    )

    def cursor(message: StoredMessage) -> str:
        return cursors.encode(str(message.position), listed)

    page = page_of(found.messages, request.limit, MessageView, cursor)
    following = page.next_cursor
    if following is None and found.last_looked_at is not None:
        following = cursors.encode(str(found.last_looked_at), listed)
    return InboxView(page.data, following, found.revision, found.counts)


def check_filter(wanted: MessageFilter, field: str = "snoozed") -> None:
    """A filter names one list.

    Raises:
        InvalidRequest: It names two.
    """
    if wanted.archived and wanted.snoozed:
        raise InvalidRequest(
            "no message is archived and snoozed: ask for one of the two lists", field=field
        )


def _position(text: str) -> int:
    position = int(text)
    if not 0 <= position <= NEWEST:
        raise ValueError(text)
    return position


async def changes(backend: Backend, request: ChangesRequest) -> InboxView:
    """Messages that have changed after a revision, oldest change first, deleted ones too.

    The view's revision is that of the last one shown, or of the whole inbox: ask again until there are none.
    """
    found = await backend.ledger.inbox_reading.changes(request.user, request.since, request.limit)
    if not found.floor <= request.since <= found.head:
        return InboxView((), None, found.head, found.counts, reset=True)
    shown = found.messages
    revision = shown[-1].revision if len(shown) == request.limit else found.head
    return InboxView(tuple(map(MessageView, shown)), None, revision, found.counts)


async def show(backend: Backend, user: InboxUser, id: UUID) -> MessageView:
    """One message.

    Raises:
        NotFound: The user has none with this id, or has deleted it.
    """
    found = await backend.ledger.inbox_reading.find(user, id)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"there is no message {id} in this inbox")
    return MessageView(found)


async def unread(backend: Backend, user: InboxUser) -> UnreadTally:
    """How many messages of the feed are unread."""
    return await backend.ledger.inbox_reading.unread(user)


async def counts(backend: Backend, user: InboxUser, wanted: Sequence[MessageFilter]) -> TalliesView:
    """How many messages match each of these filters.

    Raises:
        InvalidRequest: One of them names two lists, or several have a text: each would look at every message.
    """
    for at, each in enumerate(wanted):
        check_filter(each, f"filters/{at}/snoozed")
    if sum(each.text is not None for each in wanted) > 1:
        raise InvalidRequest("at most one of them may have a `text`", field="filters")
    return TalliesView(*await backend.ledger.inbox_reading.counted(user, wanted))
