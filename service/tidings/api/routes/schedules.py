"""`/v1/schedules`: what is sent again and again, and templates that are run by hand."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from tidings.api.problems import CONFLICT, NOT_FOUND
from tidings.api.replies.schedules import (
    SCHEDULE,
    SCHEDULE_RUN,
    SchedulePageReply,
    ScheduleReply,
    ScheduleRunReply,
)
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import (
    NoteBody,
    NoteQuery,
    PageQuery,
    RevealQuery,
    TestsQuery,
    check_reveal,
    tenant_of,
)
from tidings.api.routes.submissions import KEY_HEADER, idempotency_key
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.schedule_content import PER_RECIPIENT
from tidings.operations import schedules
from tidings.operations.reveals import note_reveal
from tidings.operations.schedules import ChangeScheduleRequest, Misfire, ScheduleState
from tidings.operations.scopes import Scope
from tidings_events import DEFAULT_TENANT

Recipients = Annotated[
    list[Any],
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": 1000,
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "required": ["recipient"],
                        "additionalProperties": False,
                        "properties": {name: {} for name in PER_RECIPIENT},
                    },
                ]
            },
        }
    ),
]
"""Addresses, or objects with what each recipient has of its own."""


class SchedulePath(Parameters):
    """Names a schedule."""

    id: str = Field(
        min_length=1, max_length=64, description="Its id or name.", examples=[SCHEDULE["name"]]
    )


class SchedulesQuery(PageQuery, TestsQuery):
    """A page of schedules."""

    state: list[ScheduleState] = Field([], description="Only in this state; repeatable.")


class CreateQuery(Parameters):
    """Whether it is stored."""

    dry_run: bool = Field(
        default=False, description="Check it and answer with its next times, and store nothing."
    )


class CreateBody(BaseModel):
    """A schedule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="Lower-case letters, digits, `-` and `_`; unique for the tenant.",
        examples=["standup"],
    )
    content: dict[str, Any] = Field(
        description="A notification as in the contract, without `id`, `recipient`, `scheduled_at`, `expires_at` and "
        "`idempotency_key`.",
    )
    recipients: Recipients = Field(
        default_factory=list,
        description="Addresses, or objects with `recipient` and `user_id`, `locale`, `entity` or `data` of its own.",
    )
    cron: str | None = Field(
        default=None,
        description="Minute, hour, day of the month, month and weekday; without it, it runs by hand only.",
        examples=["0 9 * * MON-FRI"],
    )
    timezone: str = Field(default="UTC", description="IANA name.", examples=["Europe/Berlin"])
    starts_at: str | None = Field(
        default=None, description="Nothing is due before; with an offset, or a local time."
    )
    ends_at: str | None = Field(default=None, description="Nothing is due after.")
    max_runs: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Runs after which it ends."
    )
    misfire: Misfire = Field(
        default=Misfire.SEND_ONCE,
        description="Missed runs: one is sent, late, or all are skipped.",
    )
    tenant: str | None = Field(default=None, description="Only with a key of all tenants.")


class RunBody(BaseModel):
    """One run by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipients: Recipients | None = Field(default=None, description="Instead of the schedule's.")
    data: dict[str, Any] | None = Field(
        default=None, description="Variables of this run, added to the content's."
    )


BODY: Final[dict[str, Any]] = {
    "name": "standup",
    "cron": "0 9 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "content": {"channel": "email", "subject": "Standup", "body": "Now."},
    "recipients": ["team@example.com"],
}


def _reference(
    call: Call[SchedulePath, Any, Any], *, note: str = "", reveal: bool = False
) -> ChangeScheduleRequest:
    return ChangeScheduleRequest(call.path.id, call.tenant, note, reveal)


async def _create(call: Call[Parameters, CreateQuery, CreateBody]) -> Reply:
    body = call.body
    if body.tenant is not None and call.tenant not in {None, body.tenant}:
        raise InvalidRequest("is not that of this API key; leave it out", field="tenant")
    request = schedules.CreateScheduleRequest(
        name=body.name,
        content=body.content,
        recipients=body.recipients,
        cron=body.cron,
        timezone=body.timezone,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        max_runs=body.max_runs,
        misfire=body.misfire,
        tenant=call.tenant or body.tenant or DEFAULT_TENANT,
        test=call.test,
        dry_run=call.query.dry_run,
    )
    view = await schedules.create(call.backend, call.actor, request)
    if call.query.dry_run:
        return Reply(view)
    location = {"Location": f"/v1/schedules/{view.schedule.id}"}
    return Reply(view, status=201, headers=location)


async def _list(call: Call[Parameters, SchedulesQuery, None]) -> Reply:
    query = call.query
    request = schedules.ListSchedulesRequest(
        tenant_of(call, query.tenant),
        tuple(query.state),
        query.limit,
        query.cursor,
        call.tests(query.test),
    )
    return Reply(await schedules.list_(call.backend, request))


async def _show(call: Call[SchedulePath, RevealQuery, None]) -> Reply:
    check_reveal(call)
    view = await schedules.show(call.backend, _reference(call, reveal=call.query.reveal))
    if call.query.reveal:
        await note_reveal(call.backend, call.actor, {"schedule": str(view.schedule.id)})
    return Reply(view)


async def _pause(call: Call[SchedulePath, Parameters, NoteBody]) -> Reply:
    request = _reference(call, note=call.body.note)
    return Reply(await schedules.pause(call.backend, call.actor, request))


async def _resume(call: Call[SchedulePath, Parameters, NoteBody]) -> Reply:
    request = _reference(call, note=call.body.note)
    return Reply(await schedules.resume(call.backend, call.actor, request))


async def _run(call: Call[SchedulePath, Parameters, RunBody]) -> Reply:
    key = idempotency_key(call.headers)
    request = schedules.RunScheduleRequest(
        call.path.id,
        call.body.recipients,
        call.body.data,
        None if key is None else f"{call.principal.key} {key}",
        call.tenant,
    )
    return Reply(await schedules.run(call.backend, call.actor, request), status=202)


async def _delete(call: Call[SchedulePath, NoteQuery, None]) -> Reply:
    await schedules.delete(call.backend, call.actor, _reference(call, note=call.query.note))
    return Reply(status=204)


SHOWN: Final = Documented("The schedule", ScheduleReply, SCHEDULE)

ROUTES: Final = (
    Route(
        "POST",
        "/v1/schedules",
        _create,
        scope=Scope.SEND,
        summary="Create a schedule",
        description=(
            "Every notification that it would send is checked; problems are named by field. Without `cron` it is a "
            "template, run by hand with recipients and data of each run."
        ),
        tag="schedules",
        query_model=CreateQuery,
        body_model=CreateBody,
        body_example=BODY,
        replies={
            201: Documented(
                "Created", ScheduleReply, SCHEDULE, headers={"Location": "Its address."}
            ),
            200: Documented("A dry run: nothing is stored", ScheduleReply, SCHEDULE),
        },
        problems=(CONFLICT,),
    ),
    Route(
        "GET",
        "/v1/schedules",
        _list,
        scope=Scope.READ,
        summary="List schedules",
        description="Newest first.",
        tag="schedules",
        query_model=SchedulesQuery,
        replies={
            200: Documented("A page", SchedulePageReply, {"data": [SCHEDULE], "next_cursor": None})
        },
    ),
    Route(
        "GET",
        "/v1/schedules/{id}",
        _show,
        scope=Scope.READ,
        summary="Show a schedule",
        description="With its last run and its next five times.",
        tag="schedules",
        path_model=SchedulePath,
        query_model=RevealQuery,
        replies={200: SHOWN},
        problems=(NOT_FOUND, CONFLICT),
        etag=True,
    ),
    *(
        Route(
            "POST",
            f"/v1/schedules/{{id}}/{verb}",
            handler,
            scope=Scope.SEND,
            summary=f"{verb.capitalize()} a schedule",
            description=meaning,
            tag="schedules",
            path_model=SchedulePath,
            body_model=NoteBody,
            body_example={"note": "holidays"},
            replies={200: SHOWN},
            problems=(NOT_FOUND, CONFLICT),
        )
        for verb, handler, meaning in (
            ("pause", _pause, "Its times pass until it is resumed; none is made up for."),
            ("resume", _resume, "It goes on with its next time."),
        )
    ),
    Route(
        "POST",
        "/v1/schedules/{id}/run",
        _run,
        scope=Scope.SEND,
        summary="Run a schedule once, now",
        description=(
            "Whatever its state; its times stay as they are. Repeated with the same `Idempotency-Key`, it sends nothing "
            "more and answers with the same ids; with other recipients or data, 422."
        ),
        tag="schedules",
        path_model=SchedulePath,
        body_model=RunBody,
        body_example={"recipients": ["jane@example.com"], "data": {"name": "Jane"}},
        request_headers=KEY_HEADER,
        replies={202: Documented("Accepted", ScheduleRunReply, SCHEDULE_RUN)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "DELETE",
        "/v1/schedules/{id}",
        _delete,
        scope=Scope.SEND,
        summary="Delete a schedule",
        description="With its recipients and content; its notifications stay.",
        tag="schedules",
        path_model=SchedulePath,
        query_model=NoteQuery,
        replies={204: Documented("Deleted")},
        problems=(NOT_FOUND, CONFLICT),
    ),
)
