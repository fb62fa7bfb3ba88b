"""`/v1/audit`: who did what."""

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, StringConstraints

from tidings.api.replies.notifications import ReplyModel
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.operations.scopes import Scope
from tidings.operations.trail import TrailFilters, TrailRequest, read

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TrailQuery(Parameters):
    """A page of the trail."""

    actor: Text | None = Field(
        default=None,
        description="A part of the actor: a name, a key's prefix, a request's id.",
        examples=["tk_live_4bF9xQ2m"],
    )
    action: Text | None = Field(default=None, description="Action.", examples=["channel pause"])
    since: AwareDatetime | None = Field(
        default=None, description="Then or later.", examples=["2026-11-29T00:00:00Z"]
    )
    until: AwareDatetime | None = Field(
        default=None, description="Before.", examples=["2026-11-30T00:00:00Z"]
    )
    limit: int = Field(default=25, ge=1, le=100, description="Most on a page.", examples=[25])
    cursor: Text | None = Field(
        default=None,
        description="`next_cursor` of the page before; with the same filters.",
        examples=["AQAGRK8n3_1AAZjC9FoQfD6dVT9vGitMXWq4rK2mJ0xgd9sZ"],
    )


class EntryReply(ReplyModel):
    """One action."""

    at: AwareDatetime
    actor: str
    action: str
    note: str | None
    details: dict[str, Any]


class TrailReply(ReplyModel):
    """Actions, newest first."""

    data: list[EntryReply]
    next_cursor: str | None
    """Leads to the next page; null at the end."""


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
            "are in its own history."
        ),
        tag="audit",
        tenant_bound=False,
        query_model=TrailQuery,
        replies={200: Documented("A page", TrailReply, EXAMPLE)},
        etag=True,
    ),
)
