"""`/v1/sessions`: who is signed in to the console."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, Field

from tidings.api.problems import NOT_FOUND
from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import PageReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteQuery
from tidings.operations import sessions
from tidings.operations.scopes import Scope
from tidings.operations.sessions import EndSessionRequest, ListSessionsRequest


class SessionPath(Parameters):
    """Names a session."""

    session: UUID = Field(
        description="Id of the session, from the list.",
        examples=["0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c70"],
    )


class SessionReply(ReplyModel):
    """One person signed in in one browser."""

    id: UUID
    """Names it; no secret."""
    name: str
    """As the audit trail names the person."""
    tenant: str
    """`*`: all tenants."""
    scopes: list[str]
    test: bool
    """Whether it sees nothing but tests."""
    api_key: str | None
    """Prefix of the key that it was opened with, with which it ends; null: by OpenID Connect."""
    created_at: AwareDatetime
    last_used_at: AwareDatetime
    expires_at: AwareDatetime


class SessionPageReply(PageReply[SessionReply]):
    """Sessions, newest first."""


EXAMPLE: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c70",
    "name": "jane tk_live_4bF9xQ2m",
    "tenant": "shop",
    "scopes": ["operate", "read"],
    "test": False,
    "api_key": "tk_live_4bF9xQ2m",
    "created_at": "2026-11-29T17:31:02Z",
    "last_used_at": "2026-11-29T18:02:40Z",
    "expires_at": "2026-11-30T05:31:02Z",
}


async def _list(call: Call[Parameters, Parameters, None]) -> Reply:
    return Reply(await sessions.list_(call.backend, ListSessionsRequest(call.tenant, call.test)))


async def _end(call: Call[SessionPath, NoteQuery, None]) -> Reply:
    request = EndSessionRequest(str(call.path.session), call.tenant, call.test, call.query.note)
    await sessions.end_other(call.backend, call.actor, request)
    return Reply(status=204)


ROUTES: Final = (
    Route(
        "GET",
        "/v1/sessions",
        _list,
        scope=Scope.ADMIN,
        summary="List who is signed in to the console",
        description="The newest first, in one page.",
        tag="sessions",
        replies={
            200: Documented("All", SessionPageReply, {"data": [EXAMPLE], "next_cursor": None})
        },
    ),
    Route(
        "DELETE",
        "/v1/sessions/{session}",
        _end,
        scope=Scope.ADMIN,
        summary="End a session of the console",
        description="At once, in every process; its person may sign in again unless their key is revoked.",
        tag="sessions",
        path_model=SessionPath,
        query_model=NoteQuery,
        replies={204: Documented("Ended")},
        problems=(NOT_FOUND,),
    ),
)
