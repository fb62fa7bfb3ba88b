"""`/v1/dead-letters`: listed, grouped, shown, edited, discarded, replayed."""

from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidings.api.etags import etag_of, matches
from tidings.api.problems import (
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    PRECONDITION_FAILED,
    ApiProblem,
    in_query,
)
from tidings.api.replies.dead_letters import (
    DeadLetterDetailsReply,
    DeadLetterGroupsReply,
    DeadLetterReply,
    DeadLettersReply,
)
from tidings.api.replies.jobs import JOB, JobReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.dead_letter_filters import DeadLetterFilters
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.operations.dead_letters import acting, lookup
from tidings.operations.dead_letters.acting import DeadLetterEdit, DeadLetterRequest
from tidings.operations.dead_letters.lookup import DeadLetterListRequest
from tidings.operations.json_views import as_bytes
from tidings.operations.scopes import Scope

ID: Final = "4abec5cb-6200-54aa-b16f-31af10cd322a"


class DeadLetterPath(Parameters):
    """Names a dead letter."""

    id: UUID = Field(description="Id of the dead letter, or of its notification.", examples=[ID])


class DeadLetterGroupsQuery(DeadLetterFilters):
    """Which dead letters are grouped."""

    state: list[DeadLetterState] = Field(
        [DeadLetterState.OPEN], description="Only in this state; repeatable. Open if left out."
    )
    limit: int = Field(50, ge=1, le=500, description="At most so many.")


class DeadLettersQuery(DeadLetterFilters):
    """A page of dead letters."""

    state: list[DeadLetterState] = Field(
        list(OPEN), description="Only in this state; repeatable. Open and replaying if left out."
    )
    limit: int = Field(50, ge=1, le=500, description="At most so many.")
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before; with the same filters."
    )


class RevealQuery(Parameters):
    """How a dead letter is shown."""

    reveal: bool = Field(
        False, description="Show people and content; needs the scope `admin` too; recorded."
    )


class ForceQuery(Parameters):
    """How a dead letter is replayed."""

    force: bool = Field(
        False, description="Also if it was replayed or sent before; it may arrive twice."
    )


class NoteBody(BaseModel):
    """A note."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(min_length=1, max_length=500, description="Free text.")


class EditBody(BaseModel):
    """What to change in the body of a dead letter."""

    model_config = ConfigDict(extra="forbid")

    set: dict[str, Any] = Field({}, description="Values by field, e.g. `recipient` or `entity.id`.")
    unset: list[str] = Field([], description="Fields to be removed.")
    body: dict[str, Any] | None = Field(None, description="Replaces the whole body instead.")

    @model_validator(mode="after")
    def _changes_something(self) -> "EditBody":
        if (self.body is None) == (not self.set and not self.unset):
            raise ValueError("give `set` and `unset`, or `body`")
        return self


def _named(call: Call[DeadLetterPath, Any, Any]) -> DeadLetterRequest:
    return DeadLetterRequest(call.path.id, call.tenant)


async def _list(call: Call[Parameters, DeadLettersQuery, None]) -> Reply:
    query = call.query
    try:
        wanted = query.query(call.tenant, states=query.state)
        request = DeadLetterListRequest(wanted, query.limit, cursor=query.cursor)
        page = await lookup.page(call.backend, request)
    except InvalidRequest as error:
        raise in_query(error) from None
    return Reply({"dead_letters": page.as_data(), "next_cursor": page.next})


async def _groups(call: Call[Parameters, DeadLetterGroupsQuery, None]) -> Reply:
    try:
        wanted = call.query.query(call.tenant, states=call.query.state)
    except InvalidRequest as error:
        raise in_query(error) from None
    found = await lookup.groups(call.backend, wanted, call.query.limit)
    return Reply({"groups": found.as_data()})


async def _show(call: Call[DeadLetterPath, RevealQuery, None]) -> Reply:
    reveal = call.query.reveal
    if reveal and Scope.ADMIN not in call.principal.scopes:
        raise ApiProblem(FORBIDDEN, "`reveal` needs a key that has the scope `admin` too")
    return Reply(await acting.details(call.backend, call.actor, _named(call), reveal=reveal))


async def _edit(call: Call[DeadLetterPath, Parameters, EditBody]) -> Reply:
    if (expected := call.headers.get("if-match")) is not None:
        seen = await acting.details(call.backend, call.actor, _named(call), reveal=False)
        if not matches(expected, etag_of(as_bytes(seen))):
            raise ApiProblem(
                PRECONDITION_FAILED, f"dead letter {call.path.id} has changed since: read it again"
            )
    body = call.body
    change = DeadLetterEdit(body.set, tuple(body.unset), body.body)
    edited = await acting.edit(call.backend, call.actor, _named(call), change)
    return Reply(edited, 201, {"Location": f"/v1/dead-letters/{edited.id}"})


async def _discard(call: Call[DeadLetterPath, Parameters, NoteBody]) -> Reply:
    return Reply(await acting.discard(call.backend, call.actor, _named(call), call.body.note))


async def _replay(call: Call[DeadLetterPath, ForceQuery, None]) -> Reply:
    job = await acting.replay(call.backend, call.actor, _named(call), force=call.query.force)
    return Reply(job, 202, {"Location": f"/v1/jobs/{job.id}"})


ROUTES: Final = (
    Route(
        "GET",
        "/v1/dead-letters",
        _list,
        scope=Scope.READ,
        summary="List dead letters, newest first",
        tag="dead letters",
        query_model=DeadLettersQuery,
        replies={200: Documented("A page, with people masked", DeadLettersReply)},
    ),
    Route(
        "GET",
        "/v1/dead-letters/groups",
        _groups,
        scope=Scope.READ,
        summary="Group dead letters by cause, most frequent first",
        description=(
            "Open dead letters are counted by rollups, exactly, and as fast with millions of them; `since` and `until` then "
            "mean whole hours. With another state, or a user, entity, category or recipient, those that match are counted. "
            "`trend` is by hour for periods up to two days (the last one if `since` is left out), else by day."
        ),
        tag="dead letters",
        query_model=DeadLetterGroupsQuery,
        replies={200: Documented("The largest groups", DeadLetterGroupsReply)},
    ),
    Route(
        "GET",
        "/v1/dead-letters/{id}",
        _show,
        scope=Scope.READ,
        summary="Show a dead letter with its headers, body and history",
        tag="dead letters",
        path_model=DeadLetterPath,
        query_model=RevealQuery,
        replies={200: Documented("The dead letter", DeadLetterDetailsReply)},
        problems=(NOT_FOUND,),
        etag=True,
    ),
    Route(
        "PATCH",
        "/v1/dead-letters/{id}",
        _edit,
        scope=Scope.OPERATE,
        summary="Edit a dead letter",
        description=(
            "The edited one, which has a new id, replaces it; both are kept. The result must be a valid notification with "
            "the same id. With `If-Match` only if it has not changed since it was read."
        ),
        tag="dead letters",
        path_model=DeadLetterPath,
        body_model=EditBody,
        body_example={"set": {"recipient": "ada@example.com"}, "unset": ["expires_at"]},
        replies={
            201: Documented(
                "The new dead letter", DeadLetterReply, headers={"Location": "Its path."}
            )
        },
        problems=(NOT_FOUND, CONFLICT, PRECONDITION_FAILED),
    ),
    Route(
        "POST",
        "/v1/dead-letters/{id}/discard",
        _discard,
        scope=Scope.OPERATE,
        summary="Discard a dead letter permanently",
        tag="dead letters",
        path_model=DeadLetterPath,
        body_model=NoteBody,
        body_example={"note": "test data"},
        replies={200: Documented("The dead letter", DeadLetterReply)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "POST",
        "/v1/dead-letters/{id}/replay",
        _replay,
        scope=Scope.OPERATE,
        summary="Replay a dead letter now",
        description="It is a job of one, whose item says what became of it: `GET /v1/jobs/{id}/items`.",
        tag="dead letters",
        path_model=DeadLetterPath,
        query_model=ForceQuery,
        replies={
            202: Documented("Its job", JobReply, JOB, headers={"Location": "Path of the job."})
        },
        problems=(NOT_FOUND,),
    ),
)
