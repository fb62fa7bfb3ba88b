"""`/v1/outbox`: what was accepted while RabbitMQ was away, and what people decide about it."""

from typing import Final
from uuid import UUID

from pydantic import Field

from tidings.api.problems import CONFLICT, NOT_FOUND
from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.outbox import ENTRY, EXAMPLE_ID, OutboxEntryReply
from tidings.api.replies.pages import PageReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteBody, PageQuery, TestsQuery, tenant_of
from tidings.delivery.errors import NotFound, Refused
from tidings.operations import outbox
from tidings.operations.outbox import DecidedView, DecideRequest, EntryStatus
from tidings.operations.scopes import Scope


class OutboxQuery(PageQuery, TestsQuery):
    """Which entries are listed."""

    status: list[EntryStatus] = Field(
        default_factory=list,
        max_length=5,
        description="Only with one of these.",
        examples=[["failed"]],
    )
    user_id: str | None = Field(
        default=None, max_length=256, description="Only for this user.", examples=["user-4711"]
    )


class EntryPath(Parameters):
    """Names an entry."""

    id: UUID = Field(description="Id of the notification.", examples=[EXAMPLE_ID])


class OutboxRetryBody(NoteBody):
    """Which entries are retried, the oldest first."""

    max_age_seconds: float = Field(
        default=outbox.DAY, gt=0, le=366 * outbox.DAY, description="Entered within this time."
    )
    limit: int = Field(default=50, ge=1, le=outbox.MOST, description="At most so many.")
    force: bool = Field(default=False, description="Of any age.")


class OutboxPageReply(PageReply[OutboxEntryReply]):
    """Entries, newest first."""


class NotDecidedReply(ReplyModel):
    """An entry that stays as it is."""

    id: UUID
    reason: str


class OutboxDecidedReply(ReplyModel):
    """What was done, and what could not be."""

    succeeded_ids: list[UUID]
    failures: list[NotDecidedReply]


async def _list(call: Call[Parameters, OutboxQuery, None]) -> Reply:
    query = call.query
    request = outbox.ListOutboxRequest(
        query.status,
        query.user_id,
        tenant_of(call, query.tenant),
        query.limit,
        query.cursor,
        call.tests(query.test),
    )
    return Reply(await outbox.list_(call.backend, request))


async def _retry(call: Call[Parameters, Parameters, OutboxRetryBody]) -> Reply:
    body = call.body
    request = outbox.RetryRequest(
        call.tenant,
        body.max_age_seconds,
        body.limit,
        body.force,
        body.note,
        test=call.test or None,
    )
    return Reply(await outbox.retry(call.backend, call.actor, request))


async def _retry_one(call: Call[EntryPath, Parameters, NoteBody]) -> Reply:
    request = DecideRequest([call.path.id], call.tenant, call.body.note)
    return _one(await outbox.retry_some(call.backend, call.actor, request))


async def _mark_failed(call: Call[EntryPath, Parameters, NoteBody]) -> Reply:
    request = DecideRequest([call.path.id], call.tenant, call.body.note)
    return _one(await outbox.mark_failed(call.backend, call.actor, request))


async def _mark_pending(call: Call[EntryPath, Parameters, NoteBody]) -> Reply:
    request = DecideRequest([call.path.id], call.tenant, call.body.note)
    return _one(await outbox.mark_pending(call.backend, call.actor, request))


def _one(view: DecidedView) -> Reply:
    """One entry, which a list would only name as not done."""
    for entry in view.failed:
        raise (NotFound if entry.unknown else Refused)(f"{entry.id}: {entry.reason}")
    return Reply(view)


_DECIDED: Final = {
    200: Documented(
        "It is done", OutboxDecidedReply, {"succeeded_ids": [EXAMPLE_ID], "failures": []}
    )
}

ROUTES: Final = (
    Route(
        "GET",
        "/v1/outbox",
        _list,
        scope=Scope.READ,
        summary="List what was accepted while RabbitMQ was away",
        description="Newest first. Entries are kept for a week.",
        tag="outbox",
        query_model=OutboxQuery,
        replies={
            200: Documented("A page", OutboxPageReply, {"data": [ENTRY], "next_cursor": None})
        },
    ),
    Route(
        "POST",
        "/v1/outbox/retry",
        _retry,
        scope=Scope.OPERATE,
        summary="Publish at once what failed or was refused",
        tag="outbox",
        body_model=OutboxRetryBody,
        body_example={"max_age_seconds": 86400, "limit": 50},
        replies={
            200: Documented(
                "What was done", OutboxDecidedReply, {"succeeded_ids": [EXAMPLE_ID], "failures": []}
            )
        },
    ),
    Route(
        "POST",
        "/v1/outbox/{id}/retry",
        _retry_one,
        scope=Scope.OPERATE,
        summary="Publish an entry at once",
        tag="outbox",
        path_model=EntryPath,
        body_model=NoteBody,
        body_example={"note": "the queue has room again"},
        replies=_DECIDED,
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "POST",
        "/v1/outbox/{id}/mark-failed",
        _mark_failed,
        scope=Scope.OPERATE,
        summary="Give up an entry",
        description="It is not published until it is retried or marked as pending.",
        tag="outbox",
        path_model=EntryPath,
        body_model=NoteBody,
        body_example={"note": "obsolete"},
        replies=_DECIDED,
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "POST",
        "/v1/outbox/{id}/mark-pending",
        _mark_pending,
        scope=Scope.OPERATE,
        summary="Have an entry published as if nobody had tried",
        tag="outbox",
        path_model=EntryPath,
        body_model=NoteBody,
        body_example={"note": "the lane has room again"},
        replies=_DECIDED,
        problems=(NOT_FOUND, CONFLICT),
    ),
)
