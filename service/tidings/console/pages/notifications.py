"""Notifications: those that match the filters, found by what is typed, and exported."""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from tidings.console.equivalents import command, curl
from tidings.console.filtering import ADD, FilterNames, time_typed
from tidings.console.limits import tenant_of, tests_of
from tidings.console.narrating import result
from tidings.console.page import ConsolePage, Download, Html, SeeOther, Visit
from tidings.console.problems import Forbidden
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.states import State
from tidings.operations import exports, finding, notifications
from tidings.operations.exports import ExportRequest, Format
from tidings.operations.filters import entity
from tidings.operations.finding import FindRequest, FoundView
from tidings.operations.notifications import (
    Bounds,
    Filters,
    ListedView,
    ListRequest,
    NotificationPage,
)
from tidings.operations.reveals import note_reveal
from tidings.operations.scopes import Scope
from tidings.operations.suggestions import unknown
from tidings_events import CHANNELS, Priority

PATH: Final = "/notifications"
ROWS: Final = 50
SEARCH: Final = Bounds(patience=0.01, step=2_500)
"""A page is shown within 50 ms, and says how far it has looked."""
FILTERS: Final = FilterNames(
    PATH,
    {
        "state": tuple(State),
        "channel": tuple(CHANNELS),
        "priority": tuple(Priority),
        "category": (),
        "template": (),
        "provider": (),
        "error_class": (),
        "user_id": (),
        "entity": (),
        "recipient": (),
        "subject": (),
        "since": ("1h", "24h", "7d", "30d"),
        "until": (),
        "overdue": ("true",),
        "test": ("true",),
        "tenant": (),
    },
    example="state:failed",
    single=frozenset({"subject", "since", "until", "overdue", "test", "tenant"}),
    posted_to=f"{PATH}/find",
    hint="An id, an address, a user, or a filter: state:failed",
)


def filters_of(visit: Visit) -> Filters:
    """The filters of a request.

    Raises:
        InvalidRequest: One of them can't be read, or another session sealed it.
        Forbidden: Another tenant is asked for, or what is no test with a test key; or a person may not search subjects.
    """

    def given(name: str) -> tuple[str, ...]:
        return FILTERS.values(visit, name)

    try:
        entities = tuple(entity(text) for text in given("entity"))
    except ValueError as error:
        raise InvalidRequest(str(error), field="entity") from None
    _check_subjects(visit)
    typed, subject = given("recipient"), next(iter(given("subject")), None)
    return Filters(
        channels=given("channel"),
        states=_states(given("state")),
        priorities=given("priority"),
        tenant=tenant_of(visit),
        categories=given("category"),
        user_ids=given("user_id"),
        entities=entities,
        recipients=tuple(way for each in typed for way in finding.addresses(each) or (each,)),
        templates=given("template"),
        providers=given("provider"),
        error_classes=given("error_class"),
        subject=subject,
        since=time_typed("since", next(iter(given("since")), "")),
        until=time_typed("until", next(iter(given("until")), "")),
        overdue=_overdue(given("overdue")),
        test=tests_of(visit),
    )


def _check_subjects(visit: Visit) -> None:
    """Raises Forbidden where a subject is searched, or was by a session before, and this one may not."""
    searched = any(name == "subject" for name, _ in FILTERS.pairs(visit))
    if searched and (reason := visit.visitor.why_not(Scope.REVEAL)):
        raise Forbidden(f"A search finds out subjects: this {reason}.")


def _states(words: Sequence[str]) -> tuple[State, ...]:
    if wrong := next((word for word in words if word not in set(State)), None):
        raise InvalidRequest(unknown(wrong, list(State)), field="state")
    return tuple(State(word) for word in words)


def _overdue(words: Sequence[str]) -> bool:
    if wrong := next((word for word in words if word != "true"), None):
        raise InvalidRequest(unknown(wrong, ["true"]), field="overdue")
    return bool(words)


async def _list(visit: Visit) -> Html | SeeOther:
    if (elsewhere := FILTERS.resealed(visit)) is not None:
        return elsewhere
    return await _shown(visit)


async def _shown(visit: Visit, problem: str = "") -> Html:
    """The list, or why there is none."""
    view = NotificationPage(())
    names = _names(visit)
    problem = problem or names.bar(visit).problem
    if not problem:
        try:
            filters = filters_of(visit)
            request = ListRequest(
                filters, ROWS, cursor=visit.query("cursor") or None, bounds=SEARCH, explain=False
            )
            view = await notifications.list_(visit.backend, request)
        except InvalidRequest as error:
            problem = f"{error.field}: {error}" if error.field else str(error)
    pairs = names.pairs(visit)
    given: dict[str, Any] = names.by_name(visit)
    options = {
        name: True if name in {"overdue", "test"} else values for name, values in given.items()
    }
    options |= {"test": True} if visit.test else {}
    options |= {"tenant": visit.tenant} if visit.tenant is not None else {}
    values = {
        "view": view,
        "filters": _completed(names, view.data).bar(visit, problem),
        "query": urlencode(pairs),
        "pairs": pairs,
        "paged": bool(visit.query("cursor")),
        "beginning": "",
        "result": result,
        "of_user": partial(names.leading, visit, "user_id"),
        "cli": command("list", **options),
        "curl": "\n".join(
            (
                curl(visit, "GET", "/v1/notifications", **given),
                curl(visit, "GET", "/v1/notifications/export", **given, format="csv")
                + " -o notifications.csv",
            )
        ),
    }
    return Html("notifications/list.html", values, 422 if problem else 200)


def _names(visit: Visit) -> FilterNames:
    """The filters that this person has."""
    hidden = {"tenant"} if visit.tenant is not None else set()
    hidden |= {"test"} if visit.test else set()
    hidden |= set() if visit.may(Scope.REVEAL) else {"subject"}
    known = {name: values for name, values in FILTERS.known.items() if name not in hidden}
    return replace(FILTERS, known=known)


def _completed(names: FilterNames, shown: Sequence[ListedView]) -> FilterNames:
    """With the words of the rows that are shown, so that the field completes them too."""
    summaries = [view.summary for view in shown]
    seen: dict[str, list[str | None]] = {
        "category": [summary.category for summary in summaries],
        "provider": [summary.provider for summary in summaries],
        "error_class": [summary.failure_kind for summary in summaries],
        "user_id": [summary.user_id for summary in summaries],
    }
    words = {name: sorted({word for word in values if word}) for name, values in seen.items()}
    known = {name: values or words.get(name, ()) for name, values in names.known.items()}
    return replace(names, known=known)


async def _find(visit: Visit) -> Html | SeeOther:
    """Add the filter that was typed, or go to what else was."""
    _check_subjects(visit)
    names, typed = _names(visit), visit.form.text(ADD)
    if not typed or typed.partition(":")[0].strip() in names.known:
        return names.posted(visit) or await _shown(visit)
    found = await finding.find(visit.backend, FindRequest(typed, visit.tenant, visit.test))
    named = [view.summary.id for view in found.notifications]
    ids = named if found.id is None else [found.id]
    match found:
        case FoundView(recipients=(_, *_)):
            there = names.with_(visit, "recipient", typed)
        case FoundView(user_id=str() as user_id):
            there = names.with_(visit, "user_id", user_id)
        case _ if len(ids) == 1:
            there = SeeOther(f"{PATH}/{ids[0]}")
        case _:
            there = SeeOther(f"{PATH}/beginning?{urlencode({'id': typed})}")
    return there


async def _beginning(visit: Visit) -> Html:
    """Those whose ids begin alike."""
    typed = visit.query("id")
    found = await finding.find(visit.backend, FindRequest(typed, visit.tenant, visit.test))
    values = {
        "view": NotificationPage(found.notifications),
        "filters": _names(visit).bar(visit),
        "query": "",
        "pairs": [],
        "paged": False,
        "beginning": typed,
        "result": result,
        "of_user": partial(FILTERS.leading, visit, "user_id"),
        "cli": command("show", typed),
        "curl": "",
    }
    return Html("notifications/list.html", values)


async def _export(visit: Visit) -> Download:
    return await _written(visit, visit.query("format"), reveal=False)


async def _export_revealed(visit: Visit) -> Download:
    filters = filters_of(visit)
    given = [field.name for field in fields(Filters) if getattr(filters, field.name)]
    details = {"filters": given, "tenant": filters.tenant}
    await note_reveal(visit.backend, visit.actor, details)
    return await _written(visit, visit.form.text("format"), reveal=True)


async def _written(visit: Visit, given: str, *, reveal: bool) -> Download:
    try:
        format_ = Format(given or Format.CSV)
    except ValueError:
        raise InvalidRequest(unknown(given, list(Format)), field="format") from None
    request = ExportRequest(filters_of(visit), format_, reveal)
    parts = await exports.export(visit.backend, request)
    return Download(f"notifications.{format_}", parts, format_.media_type)


PAGES: Final = (
    ConsolePage("GET", PATH, _list),
    ConsolePage("POST", f"{PATH}/find", _find),
    ConsolePage("GET", f"{PATH}/beginning", _beginning),
    ConsolePage("GET", f"{PATH}/export", _export),
    ConsolePage("POST", f"{PATH}/export", _export_revealed, scope=Scope.REVEAL),
)
