"""`/v1/notifications/{id}`: reschedules and cancels what is not sent yet."""

from typing import Any, Final

from pydantic import Field

from tidings.api.etags import etag_of, matches
from tidings.api.problems import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, ApiProblem
from tidings.api.replies.schedules import (
    CANCELLED,
    RESCHEDULED,
    CancelledReply,
    RescheduledReply,
)
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.notifications import NotificationPath
from tidings.api.routes.parameters import NoteBody, NoteQuery
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations import notifications, rescheduling
from tidings.operations.json_views import as_bytes
from tidings.operations.notifications import NotificationView
from tidings.operations.scopes import Scope

CANCELLED_SO: Final = "cancelled over the API"
"""Kept in the history of one that was cancelled without a note."""


class RescheduleBody(NoteBody):
    """Another due time."""

    scheduled_at: str = Field(
        description="ISO 8601: with an offset, or a local time beside `timezone`.",
        examples=["2026-03-29T02:30"],
    )
    timezone: str | None = Field(
        default=None, description="IANA name of the local time's zone.", examples=["Europe/Berlin"]
    )


async def _as_seen(call: Call[NotificationPath, Any, Any]) -> NotificationView | None:
    """The notification; None if it is one that no worker could read.

    Raises:
        NotFound: There is none for this key.
    """
    request = notifications.ShowRequest(
        IdPrefix.parse(str(call.path.id)), tenant=call.tenant, explain=False
    )
    found = await notifications.show(call.backend, request)
    return found if isinstance(found, NotificationView) else None


async def _reschedule(call: Call[NotificationPath, Parameters, RescheduleBody]) -> Reply:
    seen, condition = None, call.headers.get("if-match")
    if condition is not None:
        shown = await _as_seen(call)
        if shown is None or not matches(condition, etag_of(as_bytes(shown))):
            raise ApiProblem(PRECONDITION_FAILED, "it has changed since it was read; read it again")
        seen = shown.story.notification.updated_at
    request = rescheduling.RescheduleRequest(
        IdPrefix.parse(str(call.path.id)),
        call.body.scheduled_at,
        call.body.timezone,
        call.body.note,
        call.tenant,
        seen,
    )
    try:
        return Reply(await rescheduling.reschedule(call.backend, call.actor, request))
    except rescheduling.ChangedSince as error:
        raise ApiProblem(PRECONDITION_FAILED, str(error)) from None


async def _cancel(call: Call[NotificationPath, NoteQuery, None]) -> Reply:
    await _as_seen(call)
    request = notifications.CancelRequest(
        IdPrefix.parse(str(call.path.id)), call.query.note or CANCELLED_SO
    )
    return Reply(await notifications.cancel(call.backend, call.actor, request))


ROUTES: Final = (
    Route(
        "PATCH",
        "/v1/notifications/{id}",
        _reschedule,
        scope=Scope.SEND,
        summary="Reschedule a notification",
        description=(
            "Only while its state is `scheduled`; otherwise 409, which says its state. With `If-Match` and the ETag of "
            "`GET`, 412 if it has changed since. A local time in a gap is moved on by the gap's length; of one in a "
            "fold the first is meant."
        ),
        tag="notifications",
        path_model=NotificationPath,
        body_model=RescheduleBody,
        body_example={"scheduled_at": "2026-03-29T02:30", "timezone": "Europe/Berlin"},
        replies={200: Documented("Rescheduled", RescheduledReply, RESCHEDULED)},
        problems=(NOT_FOUND, CONFLICT, PRECONDITION_FAILED),
    ),
    Route(
        "DELETE",
        "/v1/notifications/{id}",
        _cancel,
        scope=Scope.SEND,
        summary="Cancel a notification",
        description=(
            "While it is scheduled, queued or waiting for a retry; otherwise 409, which says its state. The row stays, "
            "as `cancelled`."
        ),
        tag="notifications",
        path_model=NotificationPath,
        query_model=NoteQuery,
        replies={200: Documented("Cancelled", CancelledReply, CANCELLED)},
        problems=(NOT_FOUND, CONFLICT),
    ),
)
