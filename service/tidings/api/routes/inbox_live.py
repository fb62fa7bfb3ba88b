"""`/v1/inbox/stream` and `/v1/inbox/tickets`: live connections of end users."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from tidings.api.live.stream import MEDIA_TYPE, PATH
from tidings.api.problems import INVALID, ApiProblem, FieldError
from tidings.api.route import AnyCall, Call, Documented, Parameters, Reply, RequestHeader, Route
from tidings.operations.inbox import tickets
from tidings.operations.inbox.tickets import InboxUser, IssueTicketRequest

HIGHEST: Final = 2**63 - 1
LAST_EVENT_ID: Final = "Last-Event-ID"
EXAMPLE: Final = 'event: reset\nid: 41\ndata: {"type":"reset","revision":41,"counts":{"unread":3,"unseen":1}}\n\n'


class TicketReply(BaseModel):
    """A ticket."""

    ticket: str
    """Opens one live connection, once."""
    expires_at: datetime
    """Half a minute from now."""


class StreamQuery(Parameters):
    """Where the stream goes on."""

    since: Annotated[int, Field(ge=0, le=HIGHEST)] | None = Field(
        default=None,
        description="Revision up to which the client knows the inbox; without it the first event is a `reset`. "
        f"`{LAST_EVENT_ID}` takes precedence.",
        examples=[41],
    )


async def _issue(call: AnyCall) -> Reply:
    user = call.user
    request = IssueTicketRequest(
        InboxUser(user.tenant, user.subject), user.issued_at, user.expires_at
    )
    return Reply(await tickets.issue(call.backend, request), 201)


async def _stream(call: Call[Any, StreamQuery, None]) -> Reply:
    since = call.query.since
    if (last := call.headers.get(LAST_EVENT_ID)) is not None:
        since = _revision(last)
    return Reply(await call.services.live_streams.open(call.user, since))


def _revision(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(HIGHEST)):
        revision = int(text)
        if revision <= HIGHEST:
            return revision
    fault = f"{LAST_EVENT_ID}: send the `id` of the last event, or leave it out"
    raise ApiProblem(INVALID, fault, [FieldError(fault, header=LAST_EVENT_ID)])


ROUTES: Final = (
    Route(
        "POST",
        "/v1/inbox/tickets",
        _issue,
        scope=None,
        end_users=True,
        summary="Issue a ticket for a live connection",
        description="Opens one WebSocket (`/v1/inbox/ws`) in place of the token, within 30 seconds. For clients that can "
        "send nothing before the first frame, and whose addresses are logged by proxies.",
        tag="inbox",
        replies={
            201: Documented(
                "The ticket",
                TicketReply,
                {
                    "ticket": "it_m3xT2w4kX0q8Zc5vB7nR1sL9dF6gH0jKpQyWtUeAaIo",
                    "expires_at": "2026-03-02T09:30:30+00:00",
                },
            )
        },
    ),
    Route(
        "GET",
        PATH,
        _stream,
        scope=None,
        end_users=True,
        summary="Follow the inbox as Server-Sent Events",
        description="Events `reset`, `changes` and, before the stream ends, `close`; a comment at least every 25 seconds. "
        "The same as on the WebSocket `/v1/inbox/ws`.",
        tag="inbox",
        query_model=StreamQuery,
        request_headers={
            LAST_EVENT_ID: RequestHeader(
                "The `id` of the last event that the client has.", r"^[0-9]{1,18}$"
            )
        },
        replies={200: Documented("A stream without an end", str, EXAMPLE, media_type=MEDIA_TYPE)},
    ),
)
