"""`/v1/inbox`: what an end user's inbox has."""

from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tidings.api.problems import NOT_FOUND
from tidings.api.replies.inbox import (
    INBOX_PAGE,
    MESSAGE,
    TALLIES,
    UNREAD_COUNT,
    InboxPageReply,
    MessageReply,
    TalliesReply,
    UnreadCountReply,
)
from tidings.api.route import AnyCall, Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import PageQuery, Text, Values
from tidings.delivery.errors import InvalidRequest
from tidings.operations.inbox import listing
from tidings.operations.inbox.listing import (
    ChangesRequest,
    InboxListRequest,
    InboxUser,
    MessageFilter,
)

Revision = Annotated[int, Field(ge=0, le=2**63 - 1)]
MOST_FILTERS: Final = 20
"""In one request for counts."""
NOT_WITH_SINCE: Final = frozenset({"since", "limit"})


class InboxFilter(Parameters):
    """Which messages: all that is given has to match. Without `archived` and `snoozed` those of the feed are meant."""

    unread: bool | None = Field(default=None, description="Unread; false: read.", examples=[True])
    unseen: bool | None = Field(
        default=None, description="Neither seen nor read; false: either.", examples=[False]
    )
    archived: bool = Field(default=False, description="The archive, in place of the feed.")
    snoozed: bool = Field(
        default=False, description="What is snoozed, in place of the feed.", examples=[False]
    )
    category: Values = Field(default=[], description="Category.", examples=[["transactional"]])
    type: Values = Field(default=[], description="Type.", examples=[["order_shipped"]])
    severity: Values = Field(default=[], description="Severity.", examples=[["info", "warning"]])
    entity_type: Text | None = Field(
        default=None, description="Type of the thing that it is about.", examples=["order"]
    )
    entity_id: Text | None = Field(default=None, description="Its id.", examples=["10042"])
    text: Annotated[str, Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="A part of the title or the body, in any case of letters.",
        examples=["shipped"],
    )

    def read(self) -> MessageFilter:
        """As the operation has it."""
        return MessageFilter(
            archived=self.archived,
            snoozed=self.snoozed,
            unread=self.unread,
            unseen=self.unseen,
            categories=tuple(self.category),
            types=tuple(self.type),
            severities=tuple(self.severity),
            entity_type=self.entity_type,
            entity_id=self.entity_id,
            text=self.text,
        )


class InboxPageQuery(PageQuery):
    """A page of messages."""

    limit: int = Field(
        default=20, ge=1, le=100, description="At most so many in the page.", examples=[20]
    )


class UnreadQuery(InboxPageQuery):
    """A page of unread messages."""


class InboxQuery(InboxFilter, InboxPageQuery):
    """A page of messages, or what has changed."""

    since: Revision | None = Field(
        default=None,
        description=(
            "A revision that the client has: what has changed after it, oldest change first, in place of a list. With "
            "`limit` (100 unless given) and nothing else."
        ),
    )


class MessagePath(Parameters):
    """Names a message."""

    id: UUID = Field(description="Its id: the notification's.", examples=[MESSAGE["id"]])


class CountsBody(BaseModel):
    """Filters, each to be counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: list[InboxFilter] = Field(min_length=1, max_length=MOST_FILTERS)


def user_of(call: AnyCall) -> InboxUser:
    """Whose inbox it is: the token alone says so."""
    return InboxUser(call.user.tenant, call.user.subject)


async def _list(call: Call[Parameters, InboxQuery, None]) -> Reply:
    query = call.query
    if query.since is not None:
        return Reply(await _changes(call, query.since))
    request = InboxListRequest(user_of(call), query.read(), query.limit, query.cursor)
    return Reply(await listing.list_(call.backend, request))


async def _changes(call: Call[Parameters, InboxQuery, None], since: int) -> Any:
    given = call.query.model_fields_set
    if others := sorted(given - NOT_WITH_SINCE):
        raise InvalidRequest("it has no meaning beside `since`: leave it out", field=others[0])
    request = ChangesRequest(user_of(call), since)
    if "limit" in given:
        request = replace(request, limit=call.query.limit)
    return await listing.changes(call.backend, request)


async def _unread(call: Call[Parameters, UnreadQuery, None]) -> Reply:
    wanted = MessageFilter(unread=True)
    request = InboxListRequest(user_of(call), wanted, call.query.limit, call.query.cursor)
    return Reply(await listing.list_(call.backend, request))


async def _unread_count(call: Call[Parameters, Parameters, None]) -> Reply:
    return Reply(await listing.unread(call.backend, user_of(call)))


async def _counts(call: Call[Parameters, Parameters, CountsBody]) -> Reply:
    wanted = [each.read() for each in call.body.filters]
    return Reply(await listing.counts(call.backend, user_of(call), wanted))


async def _message(call: Call[MessagePath, Parameters, None]) -> Reply:
    return Reply(await listing.show(call.backend, user_of(call), call.path.id))


PAGE: Final = {200: Documented("A page", InboxPageReply, INBOX_PAGE)}
ROUTES: Final = (
    Route(
        "GET",
        "/v1/inbox",
        _list,
        scope=None,
        end_users=True,
        summary="List messages, newest first; or what has changed since a revision",
        description=(
            "The feed, unless a filter names the archive or what is snoozed, with the revision and the counts of the same "
            "moment. With `since`, what has changed after that revision, deleted messages too, oldest change first: ask "
            "again with the reply's `revision` until `data` is empty. If `reset` is true, changes are not known that far "
            "back: load the lists anew. A filter by category, type, severity, entity or text looks at 5,000 messages a "
            "page, so that a page may have fewer than `limit`, or none, and a cursor."
        ),
        tag="inbox",
        query_model=InboxQuery,
        replies=PAGE,
    ),
    Route(
        "GET",
        "/v1/inbox/unread",
        _unread,
        scope=None,
        end_users=True,
        summary="List unread messages of the feed, newest first",
        tag="inbox",
        query_model=UnreadQuery,
        replies=PAGE,
    ),
    Route(
        "GET",
        "/v1/inbox/unread-count",
        _unread_count,
        scope=None,
        end_users=True,
        summary="Count unread messages of the feed, by type and by category",
        tag="inbox",
        replies={200: Documented("The counts", UnreadCountReply, UNREAD_COUNT)},
    ),
    Route(
        "POST",
        "/v1/inbox/counts",
        _counts,
        scope=None,
        end_users=True,
        summary="Count the messages that match each of several filters, at one moment",
        tag="inbox",
        body_model=CountsBody,
        body_example={"filters": [{"unread": True}, {"archived": True}]},
        replies={200: Documented("The counts, in the order of the filters", TalliesReply, TALLIES)},
    ),
    Route(
        "GET",
        "/v1/inbox/messages/{id}",
        _message,
        scope=None,
        end_users=True,
        summary="Show a message",
        tag="inbox",
        path_model=MessagePath,
        replies={200: Documented("The message", MessageReply, MESSAGE)},
        problems=(NOT_FOUND,),
        etag=True,
    ),
)
