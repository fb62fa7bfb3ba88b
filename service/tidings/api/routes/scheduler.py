"""`/v1/scheduler`: the schedulers together."""

from typing import Any, Final

from tidings.api.replies.schedules import DISPATCHING, DispatchingReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteBody
from tidings.operations import dispatching
from tidings.operations.scopes import Scope


async def _show(call: Call[Parameters, Parameters, Any]) -> Reply:
    return Reply(await dispatching.show(call.backend))


async def _pause(call: Call[Parameters, Parameters, NoteBody]) -> Reply:
    request = dispatching.DispatchingRequest(call.body.note)
    await dispatching.pause(call.backend, call.actor, request)
    return Reply(await dispatching.show(call.backend))


async def _resume(call: Call[Parameters, Parameters, NoteBody]) -> Reply:
    request = dispatching.DispatchingRequest(call.body.note)
    await dispatching.resume(call.backend, call.actor, request)
    return Reply(await dispatching.show(call.backend))


STANDING: Final = Documented("How dispatching stands", DispatchingReply, DISPATCHING)

ROUTES: Final = (
    Route(
        "GET",
        "/v1/scheduler",
        _show,
        scope=Scope.READ,
        summary="Show the schedulers",
        description="Those that run, when the next notification or schedule is due, and how late they are.",
        tag="scheduler",
        tenant_bound=False,
        replies={200: STANDING},
    ),
    Route(
        "POST",
        "/v1/scheduler/pause",
        _pause,
        scope=Scope.OPERATE,
        summary="Pause dispatching",
        description=(
            "Nothing that is due is published, by any scheduler, until it is resumed: scheduled notifications, runs of "
            "schedules, replays, and what was accepted while RabbitMQ was unavailable."
        ),
        tag="scheduler",
        tenant_bound=False,
        body_model=NoteBody,
        body_example={"note": "INC-812"},
        replies={200: STANDING},
    ),
    Route(
        "POST",
        "/v1/scheduler/resume",
        _resume,
        scope=Scope.OPERATE,
        summary="Resume dispatching",
        description="What is due is published again; schedules treat missed runs by their own rule.",
        tag="scheduler",
        tenant_bound=False,
        body_model=NoteBody,
        body_example={"note": "INC-812"},
        replies={200: STANDING},
    ),
)
