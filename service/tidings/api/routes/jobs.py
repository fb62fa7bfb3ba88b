"""`/v1/jobs`: one action on many dead letters or notifications, looked at, started, watched and stopped."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tidings.api.problems import CONFLICT, NOT_FOUND, in_query
from tidings.api.replies.jobs import (
    JOB,
    JobItemsReply,
    JobPreviewReply,
    JobReply,
    JobsReply,
)
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.dead_letter_filters import DeadLetterFilters
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.operations.jobs import control, previews
from tidings.operations.jobs.control import JobItemsRequest, JobListRequest
from tidings.operations.jobs.previews import PreviewRequest
from tidings.operations.scopes import Scope


class JobPath(Parameters):
    """Names a job."""

    id: UUID = Field(description="Id of the job.", examples=[JOB["id"]])

    @property
    def prefix(self) -> IdPrefix:
        """For the operation."""
        return IdPrefix.parse(str(self.id))


class JobNote(Parameters):
    """A note for the record."""

    note: Annotated[str, Field(max_length=500)] = Field("", description="Kept with the change.")


class JobsQuery(Parameters):
    """A page of jobs."""

    state: list[JobState] = Field([], description="Only in this state; repeatable.")
    limit: int = Field(50, ge=1, le=500, description="At most so many.")
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before; with the same filters."
    )


class JobItemsQuery(Parameters):
    """A page of a job's items."""

    result: list[str] = Field([], description="Only with this result; repeatable.")
    limit: int = Field(100, ge=1, le=1_000, description="At most so many.")
    cursor: str | None = Field(
        None, description="`next_cursor` of the page before; with the same filters."
    )


class NotificationFilter(BaseModel):
    """Which notifications; what is left out says nothing."""

    model_config = ConfigDict(extra="forbid")

    channel: str | None = None
    category: str | None = None
    tenant: str | None = None
    user_id: str | None = None
    entity: str | None = Field(None, description="`type` or `type:id`.")
    recipient: str | None = Field(None, description="In full.")
    since: str | None = Field(None, description="Accepted at this time or later.")
    until: str | None = Field(None, description="Accepted before.")


class PlanBody(BaseModel):
    """How fast a job goes, and when it stops."""

    model_config = ConfigDict(extra="forbid")

    rate: float | None = Field(
        None, ge=0.001, le=1_000_000, description="Items a second; no limit if left out."
    )
    canary: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        [], max_length=20, description="Replay: sizes of the first waves, each watched."
    )
    stop_at: float | None = Field(
        None, gt=0, le=1, description="Replay: stop if this share fails again; 0.2 with `canary`."
    )
    watch: float = Field(
        60, ge=0, le=86_400, description="Replay: seconds to wait for the outcomes of a wave."
    )
    force: bool = Field(
        False, description="Replay: also what was replayed or sent before; may arrive twice."
    )


class JobBody(BaseModel):
    """What a job is to do, and with which items."""

    model_config = ConfigDict(extra="forbid")

    kind: JobKind = Field(description="Replay or discard dead letters, or cancel notifications.")
    ids: list[UUID] = Field(
        [], max_length=1_000, description="Replay, discard: these dead letters."
    )
    dead_letters: DeadLetterFilters | None = Field(
        None, description="Replay, discard: the open dead letters that match."
    )
    notifications: NotificationFilter | None = Field(
        None, description="Cancel: those that match and are not sent yet."
    )
    all: bool = Field(False, description="Every one; needed if there is no filter.")
    limit: int | None = Field(None, ge=1, le=100_000_000, description="At most so many.")
    note: str = Field("", max_length=500, description="Why; discard and cancel need it.")
    plan: PlanBody = PlanBody()


async def _preview(call: Call[Parameters, Parameters, JobBody]) -> Reply:
    body = call.body
    letters = body.dead_letters or DeadLetterFilters()
    careful = 0.2 if body.plan.canary and body.plan.stop_at is None else body.plan.stop_at
    given = body.notifications.model_dump() if body.notifications else {}
    request = PreviewRequest(
        body.kind,
        letters.query(call.tenant, ids=body.ids),
        previews.notification_filters(**{**given, "tenant": call.tenant or given.get("tenant")}),
        every=body.all,
        limit=body.limit,
        note=body.note,
        plan=Plan(
            body.plan.force, body.plan.rate, tuple(body.plan.canary), careful, body.plan.watch
        ),
        tenant=call.tenant,
    )
    view = await previews.preview(call.backend, call.actor, request)
    return Reply(view, 201, {"Location": f"/v1/jobs/{view.job.id}"})


async def _start(call: Call[JobPath, Parameters, None]) -> Reply:
    view = await control.start(call.backend, call.actor, call.path.id, tenant=call.tenant)
    return Reply(view, 202)


async def _show(call: Call[JobPath, Parameters, None]) -> Reply:
    return Reply(await control.show(call.backend, call.path.prefix, tenant=call.tenant))


async def _list(call: Call[Parameters, JobsQuery, None]) -> Reply:
    query = call.query
    request = JobListRequest(query.limit, tuple(query.state), call.tenant, cursor=query.cursor)
    try:
        page = await control.list_(call.backend, request)
    except InvalidRequest as error:
        raise in_query(error) from None
    return Reply({"jobs": page.as_data(), "next_cursor": page.next})


async def _items(call: Call[JobPath, JobItemsQuery, None]) -> Reply:
    query = call.query
    request = JobItemsRequest(
        call.path.prefix,
        query.limit,
        results=tuple(query.result),
        tenant=call.tenant,
        cursor=query.cursor,
    )
    try:
        page = await control.items(call.backend, request)
    except InvalidRequest as error:
        raise in_query(error) from None
    return Reply({"items": page.as_data()["items"], "next_cursor": page.next})


async def _pause(call: Call[JobPath, JobNote, None]) -> Reply:
    note = call.query.note
    return Reply(
        await control.pause(
            call.backend, call.actor, call.path.prefix, note=note, tenant=call.tenant
        )
    )


async def _resume(call: Call[JobPath, Parameters, None]) -> Reply:
    return Reply(
        await control.resume(call.backend, call.actor, call.path.prefix, tenant=call.tenant), 202
    )


async def _cancel(call: Call[JobPath, JobNote, None]) -> Reply:
    note = call.query.note
    return Reply(
        await control.cancel(
            call.backend, call.actor, call.path.prefix, note=note, tenant=call.tenant
        )
    )


STANDS: Final = Documented("The job", JobReply, JOB)


def _change(
    verb: Literal["start", "pause", "resume", "cancel"], handler: Any, summary: str, **more: Any
) -> Route:
    status = 202 if verb in {"start", "resume"} else 200
    return Route(
        "POST",
        f"/v1/jobs/{{id}}/{verb}",
        handler,
        scope=Scope.OPERATE,
        summary=summary,
        tag="jobs",
        path_model=JobPath,
        replies={status: STANDS},
        problems=(NOT_FOUND, CONFLICT),
        **more,
    )


ROUTES: Final = (
    Route(
        "POST",
        "/v1/jobs",
        _preview,
        scope=Scope.OPERATE,
        summary="Choose the items of a job",
        description=(
            "Answers with their count and a sample; nothing is done before the job is started. What arrives later is "
            "not included. A preview that is not started is deleted after a day."
        ),
        tag="jobs",
        body_model=JobBody,
        body_example={
            "kind": "replay",
            "dead_letters": {"fingerprint": "6b1f03"},
            "plan": {"canary": [1, 10, 100]},
        },
        replies={
            201: Documented(
                "The job, not started",
                JobPreviewReply,
                headers={"Location": "Path of the job."},
            )
        },
    ),
    Route(
        "GET",
        "/v1/jobs",
        _list,
        scope=Scope.READ,
        summary="List jobs that were started, newest first",
        tag="jobs",
        query_model=JobsQuery,
        replies={200: Documented("A page", JobsReply)},
    ),
    Route(
        "GET",
        "/v1/jobs/{id}",
        _show,
        scope=Scope.READ,
        summary="Show a job: how far it is, and its results",
        tag="jobs",
        path_model=JobPath,
        replies={200: STANDS},
        problems=(NOT_FOUND,),
        etag=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{id}/items",
        _items,
        scope=Scope.READ,
        summary="List the items of a job, each with its result",
        tag="jobs",
        path_model=JobPath,
        query_model=JobItemsQuery,
        replies={200: Documented("A page", JobItemsReply)},
        problems=(NOT_FOUND,),
    ),
    _change("start", _start, "Start a job that was previewed; a scheduler runs it"),
    _change("pause", _pause, "Pause a job; what is in progress is finished", query_model=JobNote),
    _change("resume", _resume, "Resume a job that is paused or stopped"),
    _change("cancel", _cancel, "Cancel a job for good", query_model=JobNote),
)
