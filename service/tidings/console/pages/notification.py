"""One notification: its story, why it stands as it does, its content for those who may see it; cancelled or rescheduled."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final

from tidings.console.contents import ContentField, content_fields, fields_of, shortened
from tidings.console.equivalents import Option, command, curl
from tidings.console.naming import Named, id_in_path
from tidings.console.narrating import coming, timeline
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.console.pages.notifications import FILTERS
from tidings.console.pages.people import page_of
from tidings.console.problems import Forbidden
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.local_time import Adjustment, LocalTime
from tidings.delivery.states import UNFINISHED, State, sources
from tidings.operations import decisions, notifications, rescheduling, resending
from tidings.operations.notifications import CancelRequest, NotificationView, ShowRequest
from tidings.operations.rescheduling import RescheduleRequest
from tidings.operations.resending import ResendRequest
from tidings.operations.reveals import note_reveal
from tidings.operations.scopes import Scope
from tidings.operations.submissions import checking
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.checking import RenderRequest
from tidings.operations.times import ahead

PATH: Final = "/notifications/{id}"
CANCELLABLE: Final = frozenset(map(State, sources(State.CANCELLED)))
ADJUSTED: Final = {
    Adjustment.GAP: " The clocks are put forward over the time that was written: it is as much later.",
    Adjustment.FOLD: " The clocks are put back over the time that was written: it comes twice, and the first is meant.",
}
SCHEDULED_BY: Final = "schedule "
"""How the producer of what a schedule sent begins."""


@dataclass(frozen=True, slots=True)
class EntryProblem:
    """Why a form was not carried out."""

    form: str
    """`cancel`, `resend` or `reschedule`."""
    field: str
    text: str
    status: int


async def _found(visit: Visit, *, reveal: bool = False) -> Any:
    """The notification, for those who may see it.

    Raises:
        NotFound: There is none for this person.
    """
    id_ = str(await id_in_path(visit, Named.NOTIFICATION))
    if reveal:
        await note_reveal(visit.backend, visit.actor, {"id": id_})
    explain = visit.tenant is None and not visit.test
    request = ShowRequest(IdPrefix.parse(id_), reveal=reveal, tenant=visit.tenant, explain=explain)
    return await notifications.show(visit.backend, request)


async def _show(visit: Visit) -> Html:
    return await _page(visit)


async def _reveal(visit: Visit) -> Html:
    return await _page(visit, reveal=True)


async def _page(visit: Visit, *, reveal: bool = False, problem: EntryProblem | None = None) -> Html:
    view = await _found(visit, reveal=reveal)
    status = problem.status if problem is not None else 200
    if not isinstance(view, NotificationView):
        return Html("notifications/unclaimed.html", {"view": view, "id": visit.path["id"]}, status)
    now, story = datetime.now(UTC), view.story
    notification = story.notification
    rendered, why_not_rendered = await _rendered(visit, view) if reveal else ([], "")
    producer = notification.producer or ""
    values = {
        "view": view,
        "it": notification,
        "events": list(timeline(story, now)),
        "decision": decisions.decided(story, now, view.waiting_reason),
        "next": coming(view, now),
        "recipients": [each for each in story.recipients if each.epoch == notification.epoch],
        "revealed": reveal,
        "fields": list(content_fields(story.body)) if story.body else [],
        "rendered": rendered,
        "why_not_rendered": why_not_rendered,
        "raw": shortened(story.body.decode("utf-8", "replace")) if story.body else "",
        "schedule": producer.removeprefix(SCHEDULED_BY)
        if producer.startswith(SCHEDULED_BY)
        else "",
        "of_user": partial(FILTERS.leading, visit, "user_id"),
        "once": secrets.token_urlsafe(16),
        "unfinished": notification.state in UNFINISHED,
        "why_not_cancel": _why_not_cancel(notification.state),
        "same": _equivalents(visit, str(notification.id)),
        "problem": problem,
        "typed": visit.form,
    }
    return Html("notifications/show.html", values, status)


def _equivalents(visit: Visit, id_: str) -> Mapping[str, tuple[str, str]]:
    """Command and request of each action."""
    path, note = "/v1/notifications/{}", "REASON"
    later = {"scheduled_at": "2026-12-24T18:00", "timezone": "Europe/Berlin", "note": note}
    options: dict[str, Option] = {"at": "2026-12-24T18:00", "zone": "Europe/Berlin", "note": note}
    return {
        "show": (
            f"{command('show', id_)}\n{command('show', id_, reveal=True)}",
            f"{curl(visit, 'GET', path, id_)}\n{curl(visit, 'GET', path, id_, reveal=True)}",
        ),
        "cancel": (
            command("cancel", id_, note=note),
            curl(visit, "DELETE", path, id_, note=note),
        ),
        "resend": (command("resend", id_), curl(visit, "POST", f"{path}/resend", id_, body={})),
        "reschedule": (
            command("reschedule", id_, **options),
            curl(visit, "PATCH", path, id_, body=later),
        ),
    }


def _why_not_cancel(state: State) -> str:
    if state in CANCELLABLE:
        return ""
    if state is State.SENDING:
        return "it is being sent at this moment"
    return f"it has ended as {state}"


async def _rendered(visit: Visit, view: NotificationView) -> tuple[list[ContentField], str]:
    """What its template makes of it now; and why it can't be rendered here."""
    body = json.loads(view.story.body)
    if not isinstance(body, dict) or not body.get("template"):
        return [], ""
    request = RenderRequest(
        str(body["template"]),
        view.story.notification.channel,
        body.get("locale"),
        body.get("data") or {},
    )
    try:
        rendered = await checking.render(visit.backend, visit.actor, request)
    except (NotFound, InvalidRequest) as error:
        return [], str(error)
    return list(fields_of(rendered.content)), ""


async def _cancel(visit: Visit) -> SeeOther | Html:
    await _found(visit)
    id_ = visit.path["id"]
    request = CancelRequest(IdPrefix.parse(id_), visit.form.text("note"))
    try:
        view = await notifications.cancel(visit.backend, visit.actor, request)
    except InvalidRequest as error:
        return await _again(visit, EntryProblem("cancel", "note", str(error), 422))
    except Refused as error:
        return await _again(visit, EntryProblem("cancel", "", str(error), 409))
    notice = f"Cancelled; it was {view.cancelled.previous_state}."
    if view.cancelled.perhaps_sent:
        notice += " It may have been delivered: the reply to an earlier attempt was lost."
    return SeeOther(f"/notifications/{id_}", notice)


async def _reschedule(visit: Visit) -> SeeOther | Html:
    await _found(visit)
    form, id_ = visit.form, visit.path["id"]
    when, zone = form.text("scheduled_at"), form.text("timezone") or None
    seen = form.text("updated_at")
    try:
        request = RescheduleRequest(
            IdPrefix.parse(id_),
            when if zone else ahead(when),
            zone,
            form.text("note"),
            visit.tenant,
            datetime.fromisoformat(seen) if seen else None,
        )
        view = await rescheduling.reschedule(visit.backend, visit.actor, request)
    except InvalidRequest as error:
        name = error.field or "scheduled_at"
        return await _again(visit, EntryProblem("reschedule", name, str(error), 422))
    except ValueError as error:
        problem = EntryProblem("reschedule", "scheduled_at", str(error), 422)
        return await _again(visit, problem)
    except Refused as error:
        return await _again(visit, EntryProblem("reschedule", "", str(error), 409))
    return SeeOther(f"/notifications/{id_}", _rescheduled(view.chosen))


def _rescheduled(due: LocalTime) -> str:
    """When it is due, in the zone that was written too; and if that is another time than was written, why."""
    at = due.at.astimezone(UTC)
    local = f" ({due.at:%Y-%m-%d %H:%M} in {due.zone})" if due.zone else ""
    why = ADJUSTED.get(due.adjustment, "") if due.adjustment else ""
    return f"Rescheduled: due {at:%Y-%m-%d %H:%M:%S} UTC{local}.{why}"


async def _resend(visit: Visit) -> SeeOther | Html:
    """Send it again as a new one; the form's own key sees to it that pressing twice sends once."""
    await _found(visit)
    form, id_ = visit.form, visit.path["id"]
    recipient = form.text("recipient") or None
    if recipient is not None and not visit.may(Scope.REVEAL):
        raise Forbidden("Another recipient gets to see the content: that needs the role support.")
    session = sha256(visit.visitor.csrf.encode()).digest()
    caller = Caller("console", session, visit.tenant, form.text("once") or None)
    request = ResendRequest(
        IdPrefix.parse(id_), recipient, form.ticked("force"), visit.tenant, caller
    )
    try:
        view = await resending.resend(visit.backend, visit.actor, request)
    except InvalidRequest as error:
        return await _again(visit, EntryProblem("resend", "recipient", str(error), 422))
    except Refused as error:
        return await _again(visit, EntryProblem("resend", "", str(error), 409))
    return SeeOther(f"/notifications/{view.id}", f"Sent again as this one; it copies {id_}.")


async def _person(visit: Visit) -> SeeOther:
    """To all that its recipient got; the address stays masked where it was."""
    id_ = str(await id_in_path(visit, Named.NOTIFICATION))
    request = ShowRequest(IdPrefix.parse(id_), reveal=True, tenant=visit.tenant, explain=False)
    view = await notifications.show(visit.backend, request)
    if not isinstance(view, NotificationView):
        raise NotFound(f"there is no notification {id_}")
    return page_of(visit, view.story.notification.recipient, typed=False)


async def _again(visit: Visit, problem: EntryProblem) -> Html:
    """The page with what was typed, and why that was not done."""
    return await _page(visit, problem=problem)


PAGES: Final = (
    ConsolePage("GET", PATH, _show),
    ConsolePage("POST", PATH, _reveal, scope=Scope.REVEAL),
    ConsolePage("POST", f"{PATH}/person", _person),
    ConsolePage("POST", f"{PATH}/cancel", _cancel, scope=Scope.SEND),
    ConsolePage("POST", f"{PATH}/resend", _resend, scope=Scope.SEND),
    ConsolePage("POST", f"{PATH}/reschedule", _reschedule, scope=Scope.SEND),
)
