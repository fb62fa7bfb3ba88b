"""One dead letter: why it failed, what can be done, and that: replayed, discarded, annotated; revealed on demand."""

import json
from typing import Any, Final

from tidings.console.dead_letter_words import IN_A_TERMINAL, REASONS, REMEDIES
from tidings.console.equivalents import command, curl
from tidings.console.naming import Named, id_in_path
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.console.undoing import STARTED, UNDO
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.dead_letters import acting, lookup, notes
from tidings.operations.dead_letters.acting import DeadLetterHistory, DeadLetterRequest
from tidings.operations.dead_letters.body import readable
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.scopes import Scope

LONGEST_SHOWN: Final = 512 * 1024
"""Bytes of a body above which a page does not have it."""
BECAME: Final = {
    DeadLetterState.REPLAYING: "is being replayed",
    DeadLetterState.REPLAYED: "was replayed",
    DeadLetterState.DISCARDED: "was discarded",
    DeadLetterState.SUPERSEDED: "was edited",
}
"""What somebody did to one that is not open."""


async def named_dead_letter(visit: Visit) -> DeadLetterRequest:
    """The dead letter in the page's path.

    Raises:
        NotFound: It is no id, or nothing that the person may see.
    """
    return DeadLetterRequest(await id_in_path(visit, Named.NOTIFICATION), visit.tenant)


async def _show(visit: Visit) -> Html:
    return await dead_letter_page(visit, await named_dead_letter(visit))


async def _reveal(visit: Visit) -> Html:
    return await dead_letter_page(visit, await named_dead_letter(visit), reveal=True)


async def dead_letter_page(
    visit: Visit,
    request: DeadLetterRequest,
    *,
    reveal: bool = False,
    problem: str = "",
    status: int = 200,
) -> Html:
    """The page of one dead letter.

    Args:
        visit: The request; what a form sent is shown in it again.
        request: Which.
        reveal: Show people and content, which is recorded before.
        problem: Why what the form asks for can't be done.
        status: Of the answer.

    Raises:
        NotFound: There is none, or it is another tenant's.
    """
    found = await acting.details(visit.backend, visit.actor, request, reveal=reveal)
    dead_letter, remedy = found.in_full.dead_letter, found.in_full.remedy
    values = {
        "dead_letter": dead_letter,
        "found": found.in_full,
        "history": found.history,
        "revealed": reveal,
        "body": _body(found),
        "headers": json.dumps(dead_letter.headers, indent=2, ensure_ascii=False, default=str),
        "why": REASONS[dead_letter.reason],
        "remedy": REMEDIES[remedy] if remedy else "",
        "terminal": IN_A_TERMINAL[remedy].format(id=dead_letter.id)
        if remedy in IN_A_TERMINAL
        else "",
        "became": BECAME.get(dead_letter.state, ""),
        "problem": problem,
        "typed": visit.form,
        **_equivalents(visit, str(dead_letter.id)),
    }
    return Html("failures/dead_letter.html", values, status)


def _body(found: DeadLetterHistory) -> str:
    view = found.in_full
    size = f"{view.dead_letter.size:,} bytes"
    if view.too_heavy or view.dead_letter.size > LONGEST_SHOWN:
        return f"{size}, too large for a page"
    if view.body is None:
        return view.outline or f"{size}, not JSON"
    try:
        view.body.decode()
    except UnicodeDecodeError:
        return f"{size}, not text"
    return readable(view.body).rstrip()


def _equivalents(visit: Visit, id_: str) -> dict[str, Any]:
    path, delay = "/v1/dead-letters/{}", {"starts_in_seconds": UNDO}
    return {
        "show_cli": command("dead", "show", id_, reveal=True),
        "show_curl": curl(visit, "GET", path, id_, reveal=True),
        "replay_cli": command("replay", id_, starts_in=f"{UNDO:g}s"),
        "replay_curl": curl(visit, "POST", f"{path}/replay", id_, body=delay),
        "discard_cli": command("dead", "discard", id_, note="…"),
        "discard_curl": curl(visit, "POST", f"{path}/discard", id_, body={"note": "…"}),
        "note_cli": command("dead", "note", id_, note="…"),
        "note_curl": curl(visit, "PUT", f"{path}/note", id_, body={"note": "…"}),
    }


async def current(visit: Visit, request: DeadLetterRequest) -> DeadLetterView:
    """A dead letter as it stands. Raises like `dead_letter_page`."""
    found = await lookup.show(visit.backend, request.prefix, reveal=False, tenant=request.tenant)
    return found.dead_letter


async def _replay(visit: Visit) -> SeeOther | Html:
    request = await named_dead_letter(visit)
    if (await current(visit, request)).state is not DeadLetterState.OPEN:
        return await dead_letter_page(visit, request, problem="It was not replayed.", status=409)
    job = await acting.replay(visit.backend, visit.actor, request, force=False, starts_in=UNDO)
    return SeeOther(f"/jobs/{job.id}", STARTED)


async def _discard(visit: Visit) -> SeeOther | Html:
    request = await named_dead_letter(visit)
    try:
        done = await acting.discard(visit.backend, visit.actor, request, visit.form.text("note"))
    except Refused:
        stands = await current(visit, request)
        if stands.state is DeadLetterState.DISCARDED and visit.visitor.did(stands.actor):
            return SeeOther(f"/failures/dead-letters/{stands.id}")  # pressed twice
        return await dead_letter_page(visit, request, problem="It was not discarded.", status=409)
    except InvalidRequest as invalid:
        return await dead_letter_page(visit, request, problem=f"Reason: {invalid}", status=422)
    return SeeOther(f"/failures/dead-letters/{done.id}", "The dead letter was discarded.")


async def _annotate(visit: Visit) -> SeeOther | Html:
    request, form = await named_dead_letter(visit), visit.form
    id_ = IdPrefix.parse(str(request.id))
    try:
        if form.ticked("remove"):
            view = await notes.remove(visit.backend, visit.actor, id_, visit.tenant)
        else:
            view = await notes.annotate(
                visit.backend, visit.actor, id_, form.text("note"), visit.tenant
            )
    except Refused:
        return await dead_letter_page(visit, request, problem="The note was not kept.", status=409)
    except InvalidRequest as invalid:
        return await dead_letter_page(visit, request, problem=f"Note: {invalid}", status=422)
    notice = "The note was removed." if form.ticked("remove") else "The note was kept."
    return SeeOther(f"/failures/dead-letters/{view.id}", notice)


PAGES: Final = (
    ConsolePage("GET", "/failures/dead-letters/{id}", _show),
    ConsolePage("POST", "/failures/dead-letters/{id}/reveal", _reveal, Scope.REVEAL),
    ConsolePage("POST", "/failures/dead-letters/{id}/replay", _replay, Scope.OPERATE),
    ConsolePage("POST", "/failures/dead-letters/{id}/discard", _discard, Scope.OPERATE),
    ConsolePage("POST", "/failures/dead-letters/{id}/note", _annotate, Scope.OPERATE),
)
