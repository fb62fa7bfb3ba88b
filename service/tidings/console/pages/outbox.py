"""The outbox: what was accepted while RabbitMQ was away, published at once, given up or taken up again."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from tidings.console.equivalents import command, curl
from tidings.console.filtering import FilterNames
from tidings.console.limits import tenant_of, tests_of
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.delivery.errors import InvalidRequest
from tidings.operations import outbox
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.outbox import (
    DecidedView,
    DecideRequest,
    EntryStatus,
    ListOutboxRequest,
    RetryRequest,
)
from tidings.operations.pages import PageView
from tidings.operations.scopes import Scope
from tidings.operations.suggestions import unknown
from tidings.operations.test_mode import Named, check_test
from tidings.operations.times import counted

PATH: Final = "/outbox"
ROWS: Final = 50
REASON: Final = "REASON"
"""Stands for it in commands."""
FILTERS: Final = FilterNames(
    PATH,
    {"status": tuple(EntryStatus), "user_id": (), "tenant": (), "test": ("true",)},
    example="status:failed",
    single=frozenset({"user_id", "tenant", "test"}),
)
Decision = Callable[[Backend, Actor, DecideRequest], Awaitable[DecidedView]]
DECISIONS: Final[dict[str, tuple[Decision, str]]] = {
    "retry": (outbox.retry_some, "to be published at once"),
    "mark-pending": (outbox.mark_pending, "marked as pending"),
    "mark-failed": (outbox.mark_failed, "given up"),
}
"""Each with what becomes of an entry."""


async def _list(visit: Visit) -> Html | SeeOther:
    return FILTERS.added(visit) or await _page(visit)


async def _page(visit: Visit, problem: str = "", field: str = "") -> Html:
    """The list; and why nothing was done."""
    view: PageView[outbox.OutboxEntryView] = PageView(())
    wrong = ""
    try:
        view = await outbox.list_(visit.backend, _request(visit))
    except InvalidRequest as error:
        wrong = f"{error.field}: {error}" if error.field else str(error)
    pairs = FILTERS.pairs(visit)
    given = {name: list(FILTERS.values(visit, name)) for name in dict(pairs)}
    values = {
        "view": view,
        "filters": FILTERS.bar(visit, wrong),
        "query": urlencode(pairs),
        "pairs": pairs,
        "paged": bool(visit.query("cursor")),
        "problem": problem,
        "field": field,
        "typed": visit.form,
        "cli": "\n".join(_commands(visit, given)),
        "curl": "\n".join(_requests(visit, given)),
    }
    return Html("outbox/list.html", values, 422 if problem or wrong else 200)


def _commands(visit: Visit, given: Mapping[str, Any]) -> Iterator[str]:
    """What the page's list and its buttons do."""
    tenant = visit.tenant or "".join(given.get("tenant", ()))
    users = given.get("user_id", [])
    yield command("outbox", "list", status=given.get("status", []), user=users, tenant=tenant)
    yield command("outbox", "retry", limit=outbox.MOST, note=REASON)
    for decision in ("mark-pending", "mark-failed"):
        yield command("outbox", decision, "ID", note=REASON)


def _requests(visit: Visit, given: Mapping[str, Any]) -> Iterator[str]:
    """The same over HTTP."""
    note = {"note": REASON}
    yield curl(visit, "GET", "/v1/outbox", **given)
    yield curl(visit, "POST", "/v1/outbox/retry", body={"limit": outbox.MOST, **note})
    for decision in DECISIONS:
        yield curl(visit, "POST", "/v1/outbox/{}/" + decision, "ID", body=note)


def _request(visit: Visit) -> ListOutboxRequest:
    return ListOutboxRequest(
        _statuses(FILTERS.values(visit, "status")),
        next(iter(FILTERS.values(visit, "user_id")), None),
        tenant_of(visit),
        ROWS,
        visit.query("cursor") or None,
        tests_of(visit),
    )


def _statuses(words: Sequence[str]) -> list[EntryStatus]:
    if wrong := next((word for word in words if word not in set(EntryStatus)), None):
        raise InvalidRequest(unknown(wrong, list(EntryStatus)), field="status")
    return [EntryStatus(word) for word in words]


async def _decide(visit: Visit) -> SeeOther | Html:
    """Do with the ticked entries what the pressed button says."""
    chosen, note = visit.form.text("decision"), visit.form.text("note")
    if chosen not in DECISIONS:
        raise InvalidRequest(unknown(chosen, list(DECISIONS)), field="decision")
    ids = _ids(visit.form.all("id"))
    if not ids:
        return await _page(visit, "Tick at least one entry.", "id")
    if not note:
        return await _page(visit, "Give a reason in a few words.", "note")
    if visit.test:
        for id_ in ids:
            await check_test(visit.backend, Named.NOTIFICATION, str(id_), visit.tenant)
    decide, became = DECISIONS[chosen]
    view = await decide(visit.backend, visit.actor, DecideRequest(ids, visit.tenant, note))
    return SeeOther(_back(visit), _told(view, became))


def _ids(ticked: Sequence[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in dict.fromkeys(ticked)]
    except ValueError:
        raise InvalidRequest("it is no id", field="id") from None


async def _retry(visit: Visit) -> SeeOther | Html:
    """Publish at once what failed or was refused within a day, the oldest first."""
    note = visit.form.text("note")
    request = RetryRequest(visit.tenant, limit=outbox.MOST, note=note, test=visit.test or None)
    view = await outbox.retry(visit.backend, visit.actor, request)
    return SeeOther(_back(visit), _told(view, DECISIONS["retry"][1]))


def _told(view: DecidedView, became: str) -> str:
    """What was done, and what not; the first reason stands for all."""
    done = len(view.decided)
    text = f"{counted(done, 'entry').replace('entrys', 'entries')} {became}."
    if view.failed:
        text += f" {len(view.failed)} not: {view.failed[0].reason}."
    return text


def _back(visit: Visit) -> str:
    pairs = FILTERS.pairs(visit)
    return f"{PATH}?{urlencode(pairs)}" if pairs else PATH


PAGES: Final = (
    ConsolePage("GET", PATH, _list),
    ConsolePage("POST", f"{PATH}/decide", _decide, scope=Scope.OPERATE),
    ConsolePage("POST", f"{PATH}/retry", _retry, scope=Scope.OPERATE),
)
