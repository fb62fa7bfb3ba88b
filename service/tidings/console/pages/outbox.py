"""The outbox: what was accepted while RabbitMQ was away, published at once, marked as pending or failed by a job."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from tidings.console.equivalents import command, curl
from tidings.console.filtering import FilterNames
from tidings.console.limits import tenant_of, tests_of
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.jobs import JobKind
from tidings.operations import outbox
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import deciding
from tidings.operations.jobs.deciding import OutboxFilter
from tidings.operations.jobs.previews import PreviewRequest, preview
from tidings.operations.notifications import Filters
from tidings.operations.outbox import EntryStatus, ListOutboxRequest
from tidings.operations.pages import PageView
from tidings.operations.scopes import Scope
from tidings.operations.suggestions import unknown

PATH: Final = "/outbox"
ROWS: Final = 50
REASON: Final = "REASON"
"""Stands for it in commands."""
FILTERS: Final = FilterNames(
    PATH,
    {"status": tuple(EntryStatus), "user_id": (), "tenant": (), "test": ("true",)},
    example="status:failed",
    single=frozenset({"user_id", "tenant", "test"}),
    posted_to=f"{PATH}/find",
)
DECISIONS: Final = {
    JobKind.RETRY: "retry",
    JobKind.MARK_PENDING: "mark-pending",
    JobKind.MARK_FAILED: "mark-failed",
}
"""What can be done with entries, and its command."""
PATIENCE: Final = 0.05
"""Seconds after which the page is shown while its items are still being chosen."""


async def _list(visit: Visit) -> Html | SeeOther:
    return FILTERS.resealed(visit) or await _page(visit)


async def _find(visit: Visit) -> Html | SeeOther:
    return FILTERS.posted(visit) or await _page(visit)


async def _page(visit: Visit, problem: str = "", field: str = "") -> Html:
    """The list; and why nothing was done."""
    view: PageView[outbox.OutboxEntryView] = PageView(())
    wrong = ""
    try:
        view = await outbox.list_(visit.backend, _request(visit))
    except InvalidRequest as error:
        wrong = f"{error.field}: {error}" if error.field else str(error)
    pairs = FILTERS.pairs(visit)
    given = FILTERS.by_name(visit)
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
    statuses = given.get("status", [])
    yield command("outbox", "list", status=statuses, user=users, tenant=tenant)
    waiting = [status for status in statuses if status in set(deciding.WAITING)]
    chosen = {"status": waiting, "user": users, "tenant": tenant}
    for verb in DECISIONS.values():
        yield command(
            *("outbox", verb), **chosen, all=not (waiting or users), note=REASON, yes=True
        )


def _requests(visit: Visit, given: Mapping[str, Any]) -> Iterator[str]:
    """The same over HTTP."""
    yield curl(visit, "GET", "/v1/outbox", **given)
    statuses = [it for it in given.get("status", ()) if it in set(deciding.WAITING)]
    chosen: dict[str, Any] = {
        name: "".join(given[name]) for name in ("user_id", "tenant") if given.get(name)
    }
    chosen |= {"status": statuses} if statuses else {}
    chosen |= {"test": True} if given.get("test") else {}
    for kind in DECISIONS:
        body: dict[str, Any] = {"kind": kind.value, "outbox": chosen, "note": REASON}
        body |= {} if set(chosen) - {"tenant", "test"} else {"all": True}
        yield curl(visit, "POST", "/v1/jobs", body=body)


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


async def _bulk(visit: Visit) -> SeeOther | Html:
    """Make a job of the ticked entries, or of all that match; it waits to be confirmed."""
    form = visit.form
    try:
        kind = _kind(form.text("do"))
        every = form.text("which") == "all"
        request = PreviewRequest(
            kind,
            DeadLetterQuery(),
            Filters(),
            every=every,
            note=form.text("note"),
            tenant=visit.tenant,
            outbox=_matching(visit) if every else _ticked(visit),
        )
        made = await preview(visit.backend, visit.actor, request, patience=PATIENCE)
    except InvalidRequest as invalid:
        return await _page(visit, str(invalid), invalid.field or "")
    return SeeOther(f"/jobs/{made.job.id}")


def _kind(text: str) -> JobKind:
    if not text:
        raise InvalidRequest("press the button of what is to be done", field="do")
    if text not in DECISIONS:
        raise InvalidRequest(unknown(text, list(DECISIONS)), field="do")
    return JobKind(text)


def _matching(visit: Visit) -> OutboxFilter:
    """What the filters of the page mean."""
    request = _request(visit)
    return OutboxFilter(
        statuses=tuple(request.statuses),
        user_id=request.user_id,
        tenant=request.tenant,
        test=request.test,
    )


def _ticked(visit: Visit) -> OutboxFilter:
    """The entries that were ticked, so far as the person may see them."""
    if not (ids := _ids(visit.form.all("id"))):
        raise InvalidRequest("tick the entries first, or choose all that match", field="id")
    return OutboxFilter(tuple(ids), tenant=visit.tenant, test=visit.test or None)


def _ids(ticked: Sequence[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in dict.fromkeys(ticked)]
    except ValueError:
        raise InvalidRequest("it is no id", field="id") from None


PAGES: Final = (
    ConsolePage("GET", PATH, _list),
    ConsolePage("POST", f"{PATH}/find", _find),
    ConsolePage("POST", f"{PATH}/bulk", _bulk, scope=Scope.OPERATE),
)
