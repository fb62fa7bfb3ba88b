"""Edit and retry: one dead letter's body in fields and as JSON, checked while it is typed, and sent again with a reason."""

from typing import Final
from uuid import UUID

from tidings.console.drafts import FIELD, EditedBody, draft_of, fields_in, typed
from tidings.console.equivalents import command, curl
from tidings.console.kept_forms import AGAIN
from tidings.console.page import Answer, ConsolePage, Html, JsonAnswer, SeeOther, Visit
from tidings.console.pages.dead_letter import BECAME, current, named_dead_letter
from tidings.console.problems import Forbidden
from tidings.console.undoing import STARTED, UNDO
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import Refused, TidingsError
from tidings.operations.dead_letters import acting, edits, lookup
from tidings.operations.dead_letters.acting import DeadLetterRequest
from tidings.operations.dead_letters.edits import SupersedeRequest
from tidings.operations.dead_letters.field_changes import is_within
from tidings.operations.dead_letters.remedies import not_text
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.reveals import note_reveal
from tidings.operations.scopes import Scope

LONGEST_TYPED: Final = 512 * 1024
"""Bytes of a body above which it is edited in a terminal."""


async def _opened(visit: Visit) -> tuple[UUID, bytes]:
    """The id and body of a dead letter, which the person sees while they edit it; that is recorded once a while.

    Raises:
        Forbidden: The person may not see content.
        Refused: A page can't have it.
    """
    if reason := visit.visitor.why_not(Scope.REVEAL):
        raise Forbidden(f"An edit shows people and content: this {reason}.")
    request = await named_dead_letter(visit)
    found = await lookup.show(visit.backend, request.prefix, reveal=True, tenant=visit.tenant)
    id_, body = found.dead_letter.id, found.body or b""
    if found.too_heavy or len(body) > LONGEST_TYPED or not_text(body):
        raise Refused(
            f"its body can't be edited in a page: `tidings dead edit {id_} --file FILE` takes another one"
        )
    if visit.request.method == "GET" or not visit.services.shown.lately(visit.visitor.csrf, id_):
        await note_reveal(visit.backend, visit.actor, {"dead_letter": str(id_)})
        visit.services.shown.add(visit.visitor.csrf, id_)
    return id_, body


async def _edit(visit: Visit) -> Html:
    id_, body = await _opened(visit)
    dead_letter = await _masked(visit, id_)
    if dead_letter.state is not DeadLetterState.OPEN:
        raise Refused(
            f"It {BECAME[dead_letter.state]} by {dead_letter.actor or 'Tidings'}: only an open one can be edited."
        )
    return _shown(visit, dead_letter, draft_of(body))


async def _masked(visit: Visit, id_: UUID) -> DeadLetterView:
    return await current(visit, DeadLetterRequest(id_, visit.tenant))


async def _page(
    visit: Visit, id_: UUID, draft: EditedBody, problem: str = "", status: int = 200
) -> Html:
    return _shown(visit, await _masked(visit, id_), draft, problem, status)


def _shown(
    visit: Visit,
    dead_letter: DeadLetterView,
    draft: EditedBody,
    problem: str = "",
    status: int = 200,
) -> Html:
    id_ = str(dead_letter.id)
    change = {"set": {"recipient": "…"}, "unset": ["expires_at"]}
    values = {
        "dead_letter": dead_letter,
        "draft": draft,
        "prefix": FIELD,
        "wrong_fields": {
            it.name
            for it in draft.fields
            for problem in draft.problems
            if is_within(problem.partition(": ")[0], it.name)
        },
        "became": BECAME.get(dead_letter.state, ""),
        "note": visit.form.text("note"),
        "problem": problem,
        "cli": command("dead", "edit", id_, file="corrected.json", replay=True),
        "curl": curl(visit, "PATCH", "/v1/dead-letters/{}", id_, body=change),
    }
    return Html("failures/edit.html", values, status)


async def _check(visit: Visit) -> JsonAnswer:
    """For the page's script: what is wrong with what is typed, what it changes, and the other half of the form."""
    _, body = await _opened(visit)
    draft, names = typed(body, visit.form), list(fields_in(visit.form))
    values = {"raw": draft.raw, "seen_raw": draft.seen_raw}
    if draft.fields:  # while the JSON is half typed there are none: they stay as they are
        values |= {f"{FIELD}{name}": text for name, text in draft.values(names).items()}
        values["seen_fields"] = draft.seen_fields(names)
    return JsonAnswer(
        {
            "problems": draft.problems,
            "changes": draft.changes,
            "values": values,
        }
    )


async def _save(visit: Visit) -> Answer:
    id_, body = await _opened(visit)
    draft, form = typed(body, visit.form), visit.form
    wanted, note = form.text("do"), form.text("note")
    if wanted not in {"send", "keep"}:
        return await _page(visit, id_, draft)
    if objection := _objection(draft, note):
        return await _page(visit, id_, draft, objection, 422)
    try:
        request = SupersedeRequest(id_, draft.body, note=note)
        new = await edits.supersede(visit.backend, visit.actor, request)
    except Refused as refused:
        return await _page(visit, id_, draft, f"Your edit was not stored: {refused}.", 409)
    if wanted == "keep":
        return SeeOther(f"/failures/dead-letters/{new}", "The edit was stored; nothing was sent.")
    replacing = DeadLetterRequest(new, visit.tenant)
    try:
        job = await acting.replay(
            visit.backend, visit.actor, replacing, force=False, starts_in=UNDO
        )
    except TidingsError as error:
        kept = f"The edit was stored, but nothing was sent: {error}."
        return SeeOther(f"/failures/dead-letters/{new}", kept)
    return SeeOther(f"/jobs/{job.id}", f"The edit was stored. {STARTED}")


async def _again(visit: Visit) -> Html:
    id_, body = await _opened(visit)
    return await _page(visit, id_, typed(body, visit.form), AGAIN)


def _objection(draft: EditedBody, note: str) -> str:
    """Why a draft is not stored; empty if nothing speaks against it."""
    if draft.problems:
        return "It is not stored: see what is wrong with it."
    if draft.changes is None:
        return "Nothing is changed: it can be replayed as it is."
    if not draft.looked_at:
        return "Look at what changes, then send it."
    return "" if note else "Give a reason in a few words."


PAGES: Final = (
    ConsolePage("GET", "/failures/dead-letters/{id}/edit", _edit, Scope.OPERATE),
    ConsolePage(
        "POST", "/failures/dead-letters/{id}/edit", _save, Scope.OPERATE, shown_again=_again
    ),
    ConsolePage("POST", "/failures/dead-letters/{id}/check", _check, Scope.OPERATE),
)
