"""`/v1/inbox/read` and its like: an end user marks messages of the own inbox."""

from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from tidings.api.replies.inbox import MARKED, MESSAGE, MarkedReply
from tidings.api.route import AnyCall, Documented, Handler, Reply, Route
from tidings.api.routes.inbox import InboxFilter, Revision, user_of
from tidings.operations.inbox import marking
from tidings.operations.inbox.marking import MarkRequest, MarkVerb

MOST_IDS: Final = 100


class MarkBody(BaseModel):
    """Which messages: either `ids`, or `up_to`."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"minProperties": 1})

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_IDS)] | None = Field(
        default=None, description="Ids of messages. Those that are not the user's are ignored."
    )
    up_to: Revision | None = Field(
        default=None,
        description="A revision that the client has: all messages of the list that were there then, and none that came later.",
    )
    filter: InboxFilter | None = Field(
        default=None, description="The list, beside `up_to`; otherwise the feed."
    )

    @model_validator(mode="after")
    def _names_messages(self) -> Self:
        if (self.ids is None) == (self.up_to is None):
            raise ValueError("name the messages: by `ids`, or all of a list by `up_to`")
        return self


class SnoozeBody(MarkBody):
    """Which messages, and until when."""

    until: AwareDatetime = Field(
        description="When they come back, on top of the feed; at most 366 days ahead."
    )


class ActBody(MarkBody):
    """Which messages, and the action that was taken."""

    action: str = Field(
        min_length=1, max_length=64, description="The id of one of the message's `actions`."
    )


def _marks(verb: MarkVerb) -> Handler:
    async def handler(call: AnyCall) -> Reply:
        body = call.body
        request = MarkRequest(
            user_of(call),
            verb,
            body.ids,
            body.up_to,
            body.filter and body.filter.read(),
            getattr(body, "until", None),
            getattr(body, "action", None),
        )
        return Reply(await marking.mark(call.backend, request))

    handler.__name__ = f"mark_{verb}"
    return handler


IDS: Final[dict[str, Any]] = {"ids": [MESSAGE["id"]]}
ALL: Final = (
    "By `ids`, or by `up_to` all that were there at a revision. What is so already is not changed again, and raises no "
    "revision."
)


def _route(
    verb: MarkVerb,
    summary: str,
    description: str = "",
    body_model: type[MarkBody] = MarkBody,
    **example: Any,
) -> Route:
    return Route(
        "POST",
        f"/v1/inbox/{verb}",
        _marks(verb),
        scope=None,
        end_users=True,
        summary=summary,
        description=f"{description} {ALL}".strip(),
        tag="inbox",
        body_model=body_model,
        body_example={**IDS, **example},
        replies={200: Documented("The inbox afterwards", MarkedReply, MARKED)},
    )


ROUTES: Final = (
    _route(MarkVerb.READ, "Mark messages as read", "A message that is read counts as seen."),
    _route(MarkVerb.UNREAD, "Mark messages as unread"),
    _route(
        MarkVerb.SEEN,
        "Mark messages as seen",
        "They stay unread: the user has had them before their eyes.",
    ),
    _route(
        MarkVerb.ARCHIVE,
        "Archive messages",
        "They leave the feed, and if they are snoozed that ends.",
    ),
    _route(
        MarkVerb.UNARCHIVE,
        "Take messages back into the feed",
        "At their place there. With `up_to` the list is the archive.",
    ),
    _route(
        MarkVerb.SNOOZE,
        "Snooze messages until a time",
        "They leave the feed or the archive, and come back on top of the feed.",
        SnoozeBody,
        until="2026-12-24T08:00:00Z",
    ),
    _route(
        MarkVerb.UNSNOOZE,
        "End the snooze of messages",
        "They come back on top of the feed. With `up_to` the list is what is snoozed.",
    ),
    _route(
        MarkVerb.ACT,
        "Say which action of a message the user took",
        "It counts as read. A later action takes the place of an earlier one. With `up_to`, messages without this action "
        "are left alone.",
        ActBody,
        action="track",
    ),
    _route(
        MarkVerb.DELETE,
        "Delete messages for good",
        "Their content is erased. They stay among the changes for seven days, so that every client hears of it.",
    ),
)
