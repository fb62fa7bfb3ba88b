"""The same field edited in many dead letters: what would change is looked at, then exactly these are edited."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Final
from uuid import UUID

from tidings.console.dead_letter_filters import DeadLetterChoice, ticked
from tidings.console.equivalents import command
from tidings.console.page import Answer, ConsolePage, Html, SeeOther, Visit
from tidings.console.pages.failures import group_page
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.jobs import JobKind
from tidings.operations.dead_letters import edits, lookup
from tidings.operations.dead_letters.edits import EditRequest, EditView, FieldChange
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs.previews import PreviewRequest, preview
from tidings.operations.notifications import Filters
from tidings.operations.scopes import Scope
from tidings.operations.times import counted

MOST: Final = 1_000
"""Dead letters that a page edits; the form names each of them."""


async def _look(visit: Visit) -> Answer:
    fingerprint = visit.path["fingerprint"]
    try:
        change = _change(visit)
        query = await _query(visit, fingerprint)
        choice = DeadLetterChoice.read(visit, fingerprint)
        chosen = await edits.choose(visit.backend, query)
        request = EditRequest(chosen, change, dry_run=True, full_scan=True)
        done = await edits.edit(visit.backend, visit.actor, request, asyncio.Event())
    except InvalidRequest as invalid:
        return await group_page(visit, fingerprint, problem=str(invalid), status=422)
    form = visit.form
    given = {"unset": form.text("field")} if change.unset else {"set": change.assignments[0]}
    ids = visit.form.all("letter") if form.text("which") != "all" else []
    values = {
        "fingerprint": fingerprint,
        "done": done,
        "refused": Counter(refusal.reason.value for refusal in done.refused),
        "ids": [dead_letter.id for dead_letter in chosen],
        "field": form.text("field"),
        "value": form.get("value", ""),
        "unset": form.ticked("unset"),
        "cli": command("dead", "edit", *ids, **({} if ids else choice.options), **given),
    }
    return Html("failures/edit_many.html", values)


async def _edit(visit: Visit) -> Answer:
    fingerprint = visit.path["fingerprint"]
    try:
        change, ids = _change(visit), ticked(visit)
        chosen = await edits.choose(visit.backend, _named(visit, ids))
        request = EditRequest(chosen, change)
        done = await edits.edit(visit.backend, visit.actor, request, asyncio.Event())
    except InvalidRequest as invalid:
        return await group_page(visit, fingerprint, problem=str(invalid), status=422)
    ready = [*done.new, *done.unchanged]
    notice = _in_words(done, len(ids) - len(chosen))
    if not ready:
        return SeeOther(f"/failures/{fingerprint}", notice)
    replay = PreviewRequest(
        JobKind.REPLAY, _named(visit, ready), Filters(), every=False, tenant=visit.tenant
    )
    made = await preview(visit.backend, visit.actor, replay)
    return SeeOther(f"/jobs/{made.job.id}", notice)


def _in_words(done: EditView, gone: int) -> str:
    parts = [f"{counted(len(done.new), 'dead letter')} edited"]
    if done.unchanged:
        parts.append(f"{len(done.unchanged):,} unchanged")
    if done.refused:
        parts.append(f"{len(done.refused):,} refused")
    if gone:
        parts.append(f"{gone:,} left alone: somebody else had acted on them")
    return f"{', '.join(parts)}.{f' It stopped: {done.stopped}.' if done.stopped else ''}"


def _change(visit: Visit) -> FieldChange:
    """The change that the form describes.

    Raises:
        InvalidRequest: It names no field, or is written wrongly.
    """
    field, value = visit.form.text("field"), visit.form.get("value", "")
    if not field or "=" in field:
        raise InvalidRequest("name the field to be edited, such as locale or entity.id")
    if visit.form.ticked("unset"):
        change = FieldChange(unset=(field,))
    else:
        change = FieldChange((f"{field}={value}",))
    change.check()
    return change


async def _query(visit: Visit, fingerprint: str) -> DeadLetterQuery:
    """The dead letters that the form is about.

    Raises:
        InvalidRequest: None are ticked, or there are too many for a page.
    """
    if visit.form.text("which") != "all":
        return _named(visit, ticked(visit))
    query = DeadLetterChoice.read(visit, fingerprint).query()
    groups = (await lookup.groups(visit.backend, query, 1)).data
    if groups and groups[0].group.dead_letters > MOST:
        raise InvalidRequest(
            f"a page edits {MOST:,} dead letters at most: for more, `tidings dead edit --fingerprint {fingerprint} --set …`"
        )
    return query


def _named(visit: Visit, ids: list[UUID]) -> DeadLetterQuery:
    """These, so far as the person may see them."""
    query = DeadLetterQuery.of(ids)
    narrowed = replace(query.narrowed, tenant=visit.tenant, test=visit.test or None)
    return replace(query, narrowed=narrowed)


PAGES: Final = (
    ConsolePage("POST", "/failures/{fingerprint}/edit-look", _look, Scope.OPERATE),
    ConsolePage("POST", "/failures/{fingerprint}/edit-all", _edit, Scope.OPERATE),
)
