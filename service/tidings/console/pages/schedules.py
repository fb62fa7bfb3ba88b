"""Schedules, one with its runs, and the schedulers: pause, resume, run now; pause and resume dispatching."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tidings.console import equivalents
from tidings.console.filtering import FilterNames
from tidings.console.page import Answer, ConsolePage, Html, SeeOther, Visit
from tidings.console.problems import Forbidden
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.delivery.local_time import zone_named
from tidings.operations import dispatching, schedule_runs, schedules
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dispatching import DispatchingRequest
from tidings.operations.reveals import note_reveal
from tidings.operations.schedules import (
    ChangeScheduleRequest,
    ListSchedulesRequest,
    RunScheduleRequest,
    ScheduleState,
    ScheduleView,
)
from tidings.operations.scopes import Scope
from tidings.operations.suggestions import unknown
from tidings.operations.times import counted

LISTED: Final = 50
NAMES: Final = FilterNames(
    "/schedules",
    {"state": [*map(str, ScheduleState)], "tenant": ()},
    "state:paused",
    single=frozenset({"tenant"}),
)
EXAMPLE_NOTE: Final = "INC-812"
"""Stands in commands for the reason that a person gives."""

Change = Callable[[Backend, Actor, ChangeScheduleRequest], Awaitable[ScheduleView]]


async def _list(visit: Visit) -> Answer:
    if added := NAMES.added(visit):
        return added
    query: dict[str, Any] = {name: visit.queries(name) for name in NAMES.known}
    states = query["state"]
    request = ListSchedulesRequest(
        visit.tenant or visit.query("tenant") or None,
        tuple(_state(text) for text in states),
        LISTED,
        visit.query("cursor") or None,
        test=visit.test,
    )
    view = await schedules.list_(visit.backend, request)
    standing = None if visit.tenant else await dispatching.show(visit.backend)
    verb = "resume" if standing is not None and standing.paused else "pause"
    return Html(
        "schedules/list.html",
        {
            "page": view,
            "filters": NAMES.bar(visit),
            "query": query,
            "standing": standing,
            "dispatching_cli": equivalents.command("dispatching", verb, note=EXAMPLE_NOTE),
            "dispatching_curl": equivalents.curl(
                visit, "POST", f"/v1/scheduler/{verb}", body={"note": EXAMPLE_NOTE}
            ),
            "cli": equivalents.command("schedules", "list", tenant=request.tenant, state=states),
            "curl": equivalents.curl(
                visit, "GET", "/v1/schedules", **{**query, "test": visit.test}
            ),
        },
    )


def _state(text: str) -> ScheduleState:
    try:
        return ScheduleState(text)
    except ValueError:
        raise InvalidRequest(unknown(text, list(ScheduleState)), field="state") from None


async def _show(visit: Visit) -> Html:
    view = await _found(visit, reveal=False)
    return Html("schedules/show.html", await _shown(visit, view))


async def _reveal(visit: Visit) -> Html:
    """The page with recipients and content, which the audit trail knows before they are shown."""
    view = await _found(visit, reveal=True)
    await note_reveal(visit.backend, visit.actor, {"schedule": str(view.schedule.id)})
    return Html("schedules/show.html", await _shown(visit, view))


async def _shown(visit: Visit, view: ScheduleView) -> Mapping[str, Any]:
    name, verb = (
        view.schedule.name,
        "resume" if view.schedule.state is ScheduleState.PAUSED else "pause",
    )
    tenant, id_ = view.schedule.tenant, str(view.schedule.id)
    body = {"note": EXAMPLE_NOTE}
    return {
        "view": view,
        "data": view.as_data(),
        "runs": await schedule_runs.past(visit.backend, view.schedule),
        "zone": zone_named(view.schedule.timezone),
        "run_key": secrets.token_hex(8),
        "commands": {
            verb: (
                equivalents.command("schedules", verb, name, tenant=tenant, note=EXAMPLE_NOTE),
                equivalents.curl(visit, "POST", "/v1/schedules/{}/" + verb, id_, body=body),
            ),
            "run": (
                equivalents.command("schedules", "run", name, tenant=tenant),
                equivalents.curl(visit, "POST", "/v1/schedules/{}/run", id_, body={}),
            ),
        },
        "reveal": (
            equivalents.command("schedules", "show", name, tenant=tenant, reveal=True),
            equivalents.curl(visit, "GET", "/v1/schedules/{}", id_, reveal=True),
        ),
    }


async def _found(visit: Visit, *, reveal: bool) -> ScheduleView:
    """The schedule of the path; another tenant's is none, and neither is what is no test for a test key."""
    request = ChangeScheduleRequest(visit.path["id"], visit.tenant, reveal=reveal)
    view = await schedules.show(visit.backend, request)
    if visit.test and view.schedule.content.get("test") is not True:
        raise NotFound(f"there is no schedule {visit.path['id']!r}")
    return view


def _changing(verb: str, change: Change) -> ConsolePage:
    async def give(visit: Visit) -> SeeOther:
        _check_that_may_send(visit)
        found = await _found(visit, reveal=False)
        request = ChangeScheduleRequest(
            str(found.schedule.id), visit.tenant, visit.form.text("note")
        )
        view = await change(visit.backend, visit.actor, request)
        return SeeOther(
            f"/schedules/{view.schedule.id}", f"{view.schedule.name} is {view.schedule.state}."
        )

    return ConsolePage("POST", f"/schedules/{{id}}/{verb}", give, Scope.OPERATE)


async def _run(visit: Visit) -> SeeOther:
    """Once for each form that was shown: a second click sends nothing more."""
    _check_that_may_send(visit)
    found = await _found(visit, reveal=False)
    request = RunScheduleRequest(
        str(found.schedule.id),
        key=f"console {visit.visitor.name} {visit.form.text('key') or secrets.token_hex(8)}",
        tenant=visit.tenant,
    )
    view = await schedules.run(visit.backend, visit.actor, request)
    sent = counted(len(view.ids), "notification")
    return SeeOther(f"/schedules/{found.schedule.id}", f"{view.schedule.name} sends {sent} now.")


def _check_that_may_send(visit: Visit) -> None:
    """A key that may operate, but not send, can't do by this page what the API would refuse it."""
    if reason := visit.visitor.why_not(Scope.SEND):
        raise Forbidden(f"This {reason}.")


async def _pause_dispatching(visit: Visit) -> SeeOther:
    request = DispatchingRequest(visit.form.reason())
    changed = await dispatching.pause(visit.backend, visit.actor, request)
    return SeeOther(
        "/schedules", "Dispatching is paused." if changed else "Dispatching was paused already."
    )


async def _resume_dispatching(visit: Visit) -> SeeOther:
    request = DispatchingRequest(visit.form.text("note"))
    changed = await dispatching.resume(visit.backend, visit.actor, request)
    return SeeOther(
        "/schedules", "Dispatching is resumed." if changed else "Dispatching was not paused."
    )


def _dispatching(verb: str, give: Callable[[Visit], Awaitable[SeeOther]]) -> ConsolePage:
    path = f"/schedules/dispatching/{verb}"
    return ConsolePage("POST", path, give, Scope.OPERATE, all_tenants=True, live_only=True)


PAGES: Final = (
    ConsolePage("GET", "/schedules", _list),
    _dispatching("pause", _pause_dispatching),
    _dispatching("resume", _resume_dispatching),
    ConsolePage("GET", "/schedules/{id}", _show),
    ConsolePage("POST", "/schedules/{id}/reveal", _reveal, Scope.REVEAL),
    _changing("pause", schedules.pause),
    _changing("resume", schedules.resume),
    ConsolePage("POST", "/schedules/{id}/run", _run, Scope.OPERATE),
)
