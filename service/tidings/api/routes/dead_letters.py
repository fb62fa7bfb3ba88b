"""`/v1/dead-letters`: listed, grouped, shown, edited, discarded, replayed."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tidings.api.etags import etag_of, matches
from tidings.api.problems import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    ApiProblem,
)
from tidings.api.replies.dead_letters import (
    DEAD_LETTER,
    DEAD_LETTER_DETAILS,
    DISCARDED,
    EDITED,
    GROUP,
    DeadLetterDetailsReply,
    DeadLetterGroupPageReply,
    DeadLetterPageReply,
    DeadLetterReply,
)
from tidings.api.replies.jobs import JOB, JobReply
from tidings.api.replies.pages import page_example
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.dead_letter_filters import DeadLetterFilters
from tidings.api.routes.parameters import (
    PageQuery,
    RequiredNoteBody,
    RevealQuery,
    StartBody,
    Text,
    check_addresses,
    check_reveal,
)
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.operations.dead_letters import acting, lookup
from tidings.operations.dead_letters.acting import DeadLetterEdit, DeadLetterRequest
from tidings.operations.dead_letters.lookup import DeadLetterListRequest
from tidings.operations.json_views import as_bytes
from tidings.operations.scopes import Scope


class DeadLetterPath(Parameters):
    """Names a dead letter."""

    id: UUID = Field(
        description="Id of the dead letter, or of its notification.", examples=[DEAD_LETTER["id"]]
    )


class DeadLetterGroupsQuery(PageQuery, DeadLetterFilters):
    """Which dead letters are grouped, and a page of their groups."""

    state: list[DeadLetterState] = Field(
        [DeadLetterState.OPEN], description="Only in this state; repeatable. Open if left out."
    )


class DeadLettersQuery(PageQuery, DeadLetterFilters):
    """A page of dead letters."""

    state: list[DeadLetterState] = Field(
        list(OPEN), description="Only in this state; repeatable. Open and replaying if left out."
    )


class ReplayBody(StartBody):
    """How a dead letter is replayed, and when."""

    force: bool = Field(
        default=False, description="Also if it was replayed or sent before; it may arrive twice."
    )


class EditBody(BaseModel):
    """What to change in the body of a dead letter."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    set: dict[str, Any] = Field({}, description="Values by field, e.g. `recipient` or `entity.id`.")
    unset: list[Text] = Field([], description="Fields to be removed.")
    body: dict[str, Any] | None = Field(None, description="Replaces the whole body instead.")
    based_on: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="`body_sha256` as it was read: 409 if it has another body by now."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> "EditBody":
        if (self.body is None) == (not self.set and not self.unset):
            raise ValueError("give `set` and `unset`, or `body`")
        return self


def _named(call: Call[DeadLetterPath, Any, Any]) -> DeadLetterRequest:
    return DeadLetterRequest(call.path.id, call.tenant)


async def _list(call: Call[Parameters, DeadLettersQuery, None]) -> Reply:
    query = call.query
    wanted = query.query(call, states=query.state)
    request = DeadLetterListRequest(wanted, query.limit, cursor=query.cursor)
    return Reply(await lookup.list_(call.backend, request))


async def _groups(call: Call[Parameters, DeadLetterGroupsQuery, None]) -> Reply:
    query = call.query
    wanted = query.query(call, states=query.state)
    return Reply(await lookup.groups(call.backend, wanted, query.limit, query.cursor))


async def _show(call: Call[DeadLetterPath, RevealQuery, None]) -> Reply:
    check_reveal(call)
    reveal = call.query.reveal
    return Reply(await acting.details(call.backend, call.actor, _named(call), reveal=reveal))


async def _edit(call: Call[DeadLetterPath, Parameters, EditBody]) -> Reply:
    if (expected := call.headers.get("if-match")) is not None:
        seen = await acting.details(call.backend, call.actor, _named(call), reveal=False)
        if not matches(expected, etag_of(as_bytes(seen))):
            raise ApiProblem(
                PRECONDITION_FAILED, f"dead letter {call.path.id} has changed since: read it again"
            )
    body = call.body
    check_addresses(call, body.set)
    change = DeadLetterEdit(body.set, tuple(body.unset), body.body, body.based_on)
    edited = await acting.edit(call.backend, call.actor, _named(call), change)
    return Reply(edited, 201, {"Location": f"/v1/dead-letters/{edited.id}"})


async def _discard(call: Call[DeadLetterPath, Parameters, RequiredNoteBody]) -> Reply:
    return Reply(await acting.discard(call.backend, call.actor, _named(call), call.body.note))


async def _replay(call: Call[DeadLetterPath, Parameters, ReplayBody]) -> Reply:
    body = call.body
    job = await acting.replay(
        *(call.backend, call.actor, _named(call)),
        force=body.force,
        starts_in=body.starts_in_seconds,
    )
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
        replies={
            200: Documented(
                "A page, with people masked", DeadLetterPageReply, page_example(DEAD_LETTER)
            )
        },
    ),
    Route(
        "GET",
        "/v1/dead-letters/groups",
        _groups,
        scope=Scope.READ,
        summary="Group dead letters by cause, most frequent first",
        description=(
            "Open dead letters are counted by rollups, exactly, and as fast with millions of them; `since` and `until` then "
            "mean whole hours. With another state, of tests, or with a user, an entity or a recipient, those that match are counted, newest "
            "first, for half a second: those that came before `searched_since` are not counted, and `until` set to it counts them. "
            "`trend` is by hour for periods up to two days (the last one if `since` is left out), else by day. A group whose count "
            "changes between two pages may be on both or on none."
        ),
        tag="dead letters",
        query_model=DeadLetterGroupsQuery,
        replies={
            200: Documented(
                "The largest groups",
                DeadLetterGroupPageReply,
                {**page_example(GROUP, None), "searched_since": None},
            )
        },
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
        replies={200: Documented("The dead letter", DeadLetterDetailsReply, DEAD_LETTER_DETAILS)},
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
                "The new dead letter", DeadLetterReply, EDITED, headers={"Location": "Its path."}
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
        body_model=RequiredNoteBody,
        body_example={"note": "test data"},
        replies={200: Documented("The dead letter", DeadLetterReply, DISCARDED)},
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
        body_model=ReplayBody,
        body_example={"force": False, "starts_in_seconds": 10},
        replies={
            202: Documented("Its job", JobReply, JOB, headers={"Location": "Path of the job."})
        },
        problems=(NOT_FOUND, CONFLICT),
    ),
)
