"""`/v1/jobs`: one action on many dead letters or notifications, looked at, started, watched and stopped."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tidings.api.problems import CONFLICT, NOT_FOUND, unavailable
from tidings.api.replies.jobs import (
    JOB,
    JOB_ITEM,
    JOB_PREVIEW,
    JobItemPageReply,
    JobPageReply,
    JobPreviewReply,
    JobReply,
)
from tidings.api.replies.pages import page_example
from tidings.api.route import AnyCall, Call, Documented, Parameters, Reply, Route
from tidings.api.routes.dead_letter_filters import DeadLetterFilters
from tidings.api.routes.parameters import (
    LONGEST_NOTE,
    End,
    NoteBody,
    PageQuery,
    RevealQuery,
    StartBody,
    TestsQuery,
    Text,
    Time,
    check_addresses,
    check_reveal,
    tenant_of,
)
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.operations.csv_rows import MEDIA_TYPE
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.dead_letters.plan import stopping
from tidings.operations.exports import ExportsBusy
from tidings.operations.jobs import control, previews
from tidings.operations.jobs.control import JobEdit, JobItemsRequest, JobListRequest
from tidings.operations.jobs.deciding import EntryStatus, OutboxFilter
from tidings.operations.jobs.previews import PreviewRequest
from tidings.operations.jobs.results import results
from tidings.operations.notifications import Filters
from tidings.operations.scopes import Scope

PATIENCE: Final = 1.0
"""Seconds after which a job is answered with while its items are still being chosen."""


class JobPath(Parameters):
    """Names a job."""

    id: UUID = Field(description="Id of the job.", examples=[JOB["id"]])

    @property
    def prefix(self) -> IdPrefix:
        """For the operation."""
        return IdPrefix.parse(str(self.id))


class JobsQuery(PageQuery, TestsQuery):
    """A page of jobs."""

    state: list[JobState] = Field([], description="Only in this state; repeatable.")


class JobItemsQuery(PageQuery):
    """A page of a job's items."""

    result: list[str] = Field([], description="Only with this result; repeatable.")
    limit: int = Field(
        default=25, ge=1, le=1_000, description="At most so many in the page.", examples=[25]
    )


class NotificationFilter(TestsQuery):
    """Which notifications; what is left out says nothing."""

    channel: str | None = Field(None, description="Only in this channel.")
    category: str | None = Field(None, description="Only in this category.")
    user_id: str | None = Field(None, description="Only for this user.")
    entity: Text | None = Field(None, description="Only about this entity: `type` or `type:id`.")
    recipient: str | None = Field(None, description="Only to this recipient, in full.")
    since: Time | None = Field(None, description="Accepted then or later.")
    until: End | None = Field(None, description="Accepted before.")

    def filters(self, call: AnyCall) -> Filters:
        """For the operation.

        Raises:
            ApiProblem: Another tenant is asked for, or what is no test with a test key.
            InvalidRequest: A value can't be read.
        """
        return previews.notification_filters(
            channel=self.channel,
            category=self.category,
            tenant=tenant_of(call, self.tenant),
            user_id=self.user_id,
            entity=self.entity,
            recipient=self.recipient,
            since=self.since,
            until=self.until,
            test=call.tests(self.test),
        )


class OutboxEntriesFilter(TestsQuery):
    """Which entries of the outbox; what is left out says nothing."""

    status: list[EntryStatus] = Field(
        [], max_length=3, description="Only with one of these: pending, retrying, failed."
    )
    user_id: str | None = Field(None, max_length=256, description="Only for this user.")

    def filters(self, call: AnyCall, ids: Sequence[UUID]) -> OutboxFilter:
        """For the operation.

        Raises:
            ApiProblem: Another tenant is asked for, or what is no test with a test key.
        """
        return OutboxFilter(
            tuple(ids),
            tuple(self.status),
            self.user_id,
            tenant_of(call, self.tenant),
            call.tests(self.test),
        )


class PaceBody(BaseModel):
    """How fast a job goes, and when it stops."""

    model_config = ConfigDict(extra="forbid")

    rate_per_second: float | None = Field(
        None, ge=0.001, le=1_000_000, description="Items a second; no limit if left out."
    )
    canary: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        [], max_length=20, description="Replay: sizes of the first waves, each watched."
    )
    max_failure_rate: float | None = Field(
        None, gt=0, le=1, description="Replay: stop if this share fails again; 0.2 with `canary`."
    )
    watch_seconds: float = Field(
        60, ge=0, le=86_400, description="Replay: how long to wait for the outcomes of a wave."
    )

    def plan(self, *, force: bool = False) -> Plan:
        """For the operation."""
        return Plan(
            force,
            self.rate_per_second,
            tuple(self.canary),
            stopping(self.canary, self.max_failure_rate),
            self.watch_seconds,
        )


class PlanBody(PaceBody):
    """How fast a job goes, when it stops, and whether it takes what was replayed before."""

    force: bool = Field(
        False, description="Replay: also what was replayed or sent before; may arrive twice."
    )


class JobStartBody(StartBody):
    """When a job that was looked at begins, and how it goes."""

    plan: PaceBody | None = Field(
        None,
        description="Replaces the pace that it was looked at with.",
        examples=[{"canary": [1]}],
    )


class JobEditBody(BaseModel):
    """What to change in the bodies of dead letters."""

    model_config = ConfigDict(extra="forbid")

    set: dict[str, Any] = Field({}, description="Values by field, e.g. `recipient` or `entity.id`.")
    unset: list[Text] = Field([], description="Fields to be removed.")
    replay: bool = Field(False, description="Replay what is edited, as `plan` says.")

    @property
    def edit(self) -> JobEdit:
        """For the operation.

        Raises:
            InvalidRequest: A field can't be named so.
        """
        return JobEdit(FieldChange.of(self.set, tuple(self.unset)), self.replay)


class JobBody(BaseModel):
    """What a job is to do, and with which items."""

    model_config = ConfigDict(extra="forbid")

    kind: JobKind = Field(
        description=(
            "Replay, discard or edit dead letters; cancel notifications; or retry entries of the outbox, mark them as "
            "pending or as failed."
        )
    )
    ids: list[UUID] = Field(
        [],
        max_length=1_000,
        description="These dead letters; of a decision about the outbox, these notifications.",
    )
    dead_letters: DeadLetterFilters | None = Field(
        None, description="Replay, discard, edit: the open dead letters that match."
    )
    edit: JobEditBody | None = Field(None, description="Edit: what to change in each.")
    notifications: NotificationFilter | None = Field(
        None, description="Cancel: those that match and are not sent yet."
    )
    outbox: OutboxEntriesFilter | None = Field(
        None, description="Retry, mark: the entries that match and wait."
    )
    all: bool = Field(False, description="Every one; needed if there is no filter.")
    limit: int | None = Field(None, ge=1, le=100_000_000, description="At most so many.")
    note: str = Field("", max_length=LONGEST_NOTE, description="Why; needed but for a replay.")
    plan: PlanBody = PlanBody()


async def _preview(call: Call[Parameters, Parameters, JobBody]) -> Reply:
    body = call.body
    letters = body.dead_letters or DeadLetterFilters()
    given = body.notifications or NotificationFilter()
    entries = body.outbox or OutboxEntriesFilter()
    check_addresses(call, () if body.edit is None else body.edit.set)
    request = PreviewRequest(
        body.kind,
        letters.query(call, ids=() if body.kind.decides else body.ids),
        given.filters(call),
        every=body.all,
        limit=body.limit,
        note=body.note,
        plan=body.plan.plan(force=body.plan.force),
        edit=None if body.edit is None else body.edit.edit,
        outbox=entries.filters(call, body.ids if body.kind.decides else ()),
        tenant=call.tenant,
    )
    view = await previews.preview(call.backend, call.actor, request, patience=PATIENCE)
    return Reply(view, 201, {"Location": f"/v1/jobs/{view.job.id}"})


async def _start(call: Call[JobPath, Parameters, JobStartBody]) -> Reply:
    view = await control.start(
        call.backend,
        call.actor,
        call.path.id,
        plan=None if call.body.plan is None else call.body.plan.plan(),
        tenant=call.tenant,
        starts_in=call.body.starts_in_seconds,
    )
    return Reply(view, 202)


async def _show(call: Call[JobPath, Parameters, None]) -> Reply:
    return Reply(await control.show(call.backend, call.path.prefix, tenant=call.tenant))


async def _show_preview(call: Call[JobPath, RevealQuery, None]) -> Reply:
    check_reveal(call)
    view = await previews.show(
        *(call.backend, call.actor, call.path.prefix),
        tenant=call.tenant,
        reveal=call.query.reveal,
    )
    return Reply(view)


async def _list(call: Call[Parameters, JobsQuery, None]) -> Reply:
    query = call.query
    request = JobListRequest(
        query.limit,
        tuple(query.state),
        tenant_of(call, query.tenant),
        cursor=query.cursor,
        test=call.tests(query.test),
    )
    return Reply(await control.list_(call.backend, request))


async def _items(call: Call[JobPath, JobItemsQuery, None]) -> Reply:
    query = call.query
    request = JobItemsRequest(
        call.path.prefix,
        query.limit,
        results=tuple(query.result),
        tenant=call.tenant,
        cursor=query.cursor,
    )
    return Reply(await control.items(call.backend, request))


async def _items_csv(call: Call[JobPath, Parameters, None]) -> Reply:
    try:
        written = await results(call.backend, call.path.prefix, tenant=call.tenant)
    except ExportsBusy as busy:
        raise unavailable(str(busy)) from None
    named = f'attachment; filename="job-{call.path.id}.csv"'
    return Reply(written, headers={"Content-Disposition": named}, media_type=MEDIA_TYPE)


async def _pause(call: Call[JobPath, Parameters, NoteBody]) -> Reply:
    note = call.body.note
    return Reply(
        await control.pause(
            call.backend, call.actor, call.path.prefix, note=note, tenant=call.tenant
        )
    )


async def _resume(call: Call[JobPath, Parameters, None]) -> Reply:
    return Reply(
        await control.resume(call.backend, call.actor, call.path.prefix, tenant=call.tenant), 202
    )


async def _cancel(call: Call[JobPath, Parameters, NoteBody]) -> Reply:
    note = call.body.note
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
            "not included. If it takes longer than a second, the state is `choosing` and the count null: "
            "`GET /v1/jobs/{id}/preview` has both when they are chosen, and the job can be started then. A preview that "
            "is not started is deleted after a day."
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
                JOB_PREVIEW,
                headers={"Location": "Path of the job."},
            )
        },
        problems=(NOT_FOUND,),
    ),
    Route(
        "GET",
        "/v1/jobs",
        _list,
        scope=Scope.READ,
        summary="List jobs that were started, newest first",
        tag="jobs",
        query_model=JobsQuery,
        replies={200: Documented("A page", JobPageReply, page_example(JOB))},
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
        "/v1/jobs/{id}/preview",
        _show_preview,
        scope=Scope.READ,
        summary="Show a job with a sample of its dead letters",
        description=(
            "The first of them, as they stand now, and what an edit changes in them; none while they are being chosen."
        ),
        tag="jobs",
        path_model=JobPath,
        query_model=RevealQuery,
        replies={200: Documented("The job", JobPreviewReply, JOB_PREVIEW)},
        problems=(NOT_FOUND,),
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
        replies={200: Documented("A page", JobItemPageReply, page_example(JOB_ITEM))},
        problems=(NOT_FOUND,),
    ),
    Route(
        "GET",
        "/v1/jobs/{id}/items.csv",
        _items_csv,
        scope=Scope.READ,
        summary="Download all items of a job with their results as CSV",
        description=(
            "In the order of the job. A connection that ends without its last chunk was cut: it is not complete. A "
            "process writes two exports at the same time; to more it replies 503."
        ),
        tag="jobs",
        path_model=JobPath,
        replies={
            200: Documented(
                "The items",
                str,
                "position,item_id,notification_id,result,outcome,detail,superseded_by_id\r\n1,0198c2f4-…,0198c2f4-…,replayed,sent,,\r\n",
                media_type="text/csv",
            )
        },
        problems=(NOT_FOUND,),
    ),
    _change(
        "start",
        _start,
        "Start a job that was previewed; a scheduler runs it",
        body_model=JobStartBody,
        body_example={"starts_in_seconds": 10, "plan": {"rate_per_second": 50, "canary": [1, 10]}},
    ),
    _change(
        "pause",
        _pause,
        "Pause a job; what is in progress is finished",
        body_model=NoteBody,
        body_example={"note": "lunch"},
    ),
    _change("resume", _resume, "Resume a job that is paused or stopped"),
    _change(
        "cancel",
        _cancel,
        "Cancel a job for good",
        body_model=NoteBody,
        body_example={"note": "lunch"},
    ),
)
