"""`/v1/audit`: who did what."""

from typing import Any, Final

from pydantic import AwareDatetime, Field

from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import PageReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import End, PageQuery, Text, Time
from tidings.operations.scopes import Scope
from tidings.operations.trail import TrailFilters, TrailRequest, read


class TrailQuery(PageQuery):
    """A page of the trail."""

    actor: Text | None = Field(
        default=None,
        description="A part of the actor: a name, a key's prefix, a request's id.",
        examples=["tk_live_4bF9xQ2m"],
    )
    action: Text | None = Field(default=None, description="Action.", examples=["channel pause"])
    since: Time | None = Field(default=None, description="Then or later.")
    until: End | None = Field(default=None, description="Before.")


class EntryReply(ReplyModel):
    """One action."""

    at: AwareDatetime
    actor: str
    action: str
    note: str | None
    details: dict[str, Any]


class TrailPageReply(PageReply[EntryReply]):
    """Actions, newest first."""

    searched_since: AwareDatetime | None
    """Older ones were not looked at yet; null if the page is full or the end was reached."""


EXAMPLE: Final[dict[str, Any]] = {
    "data": [
        {
            "at": "2026-11-29T17:31:02Z",
            "actor": "api-key ops tk_live_4bF9xQ2m (request 4bf92f3577b34da6)",
            "action": "channel pause",
            "note": "new relay",
            "details": {"channel": "email", "provider": None},
        }
    ],
    "next_cursor": None,
    "searched_since": None,
}


async def _trail(call: Call[Parameters, TrailQuery, None]) -> Reply:
    query = call.query
    filters = TrailFilters(query.actor, query.action, query.since, query.until)
    return Reply(await read(call.backend, TrailRequest(filters, query.limit, query.cursor)))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/audit",
        _trail,
        scope=Scope.ADMIN,
        summary="Who did what",
        description=(
            "Orders about channels, keys, jobs, erasures, deletions, and who had people revealed. Changes of one notification "
            "are in its own history. A page of an `actor` may have few entries, or none, and lead on: older ones than "
            "`searched_since` were not looked at yet."
        ),
        tag="audit",
        tenant_bound=False,
        query_model=TrailQuery,
        replies={200: Documented("A page", TrailPageReply, EXAMPLE)},
        etag=True,
    ),
)
