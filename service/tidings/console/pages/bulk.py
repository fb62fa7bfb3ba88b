"""Actions on many dead letters: those that are ticked, or all that match, become a job that waits to be confirmed."""

from contextlib import suppress
from typing import Final

from tidings.console.dead_letter_filters import DeadLetterChoice, ticked
from tidings.console.forms import Form
from tidings.console.page import Answer, ConsolePage, SeeOther, Visit
from tidings.console.pages.failures import group_page, groups_page
from tidings.console.problems import Forbidden
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind
from tidings.operations.dead_letters.field_changes import FieldChange, shows_to_others
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs.control import JobEdit
from tidings.operations.jobs.previews import PreviewRequest, preview
from tidings.operations.notifications import Filters
from tidings.operations.scopes import Scope

ALL: Final = "all"
PATIENCE: Final = 0.05
"""Seconds after which the page is shown while its items are still being chosen: those of a small job are by then."""


async def _of_groups(visit: Visit) -> Answer:
    try:
        return await _looked_at(visit, None)
    except InvalidRequest as invalid:
        return await groups_page(visit, problem=str(invalid), status=422)


async def _of_group(visit: Visit) -> Answer:
    fingerprint = visit.path["fingerprint"]
    try:
        return await _looked_at(visit, fingerprint)
    except InvalidRequest as invalid:
        return await group_page(visit, fingerprint, problem=str(invalid), status=422)


async def _looked_at(visit: Visit, fingerprint: str | None) -> SeeOther:
    every = visit.form.text("which") == ALL
    kind = _kind(visit.form.text("do"))
    edit = _edit(visit.form) if kind is JobKind.EDIT else None
    if edit is not None and shows_to_others(edit.change.paths) and not visit.may(Scope.REVEAL):
        raise Forbidden("Another recipient gets to see the content: that needs the role support.")
    reasons = ("edit_note", "note") if kind is JobKind.EDIT else ("note",)
    request = PreviewRequest(
        kind,
        DeadLetterChoice.read(visit, fingerprint).query() if every else _ticked(visit),
        Filters(),
        every=every,
        note=next(filter(None, map(visit.form.text, reasons)), ""),
        edit=edit,
        tenant=visit.tenant,
    )
    made = await preview(visit.backend, visit.actor, request, patience=PATIENCE)
    return SeeOther(f"/jobs/{made.job.id}")


def _kind(text: str) -> JobKind:
    if text in {JobKind.REPLAY, JobKind.DISCARD, JobKind.EDIT}:
        return JobKind(text)
    raise InvalidRequest("press the button of what is to be done", field="do")


def _edit(form: Form) -> JobEdit:
    """What the form changes. A value that is JSON is meant so, unless the field can only be text.

    Raises:
        InvalidRequest: It names no field, or no notification can be so.
    """
    field, value = form.text("field"), form.get("value", "").replace("\r\n", "\n")
    if not field or "=" in field:
        raise InvalidRequest("name the field to be edited, such as locale or entity.id")
    replay = form.ticked("replay")
    if form.ticked("unset"):
        return JobEdit(FieldChange(unset=(field,)), replay)
    change, as_text = FieldChange((f"{field}={value}",)), FieldChange.of({field: value})
    try:
        change.check_for()
    except InvalidRequest:
        with suppress(InvalidRequest):
            as_text.check_for()
            return JobEdit(as_text, replay)
        raise
    return JobEdit(change, replay)


def _ticked(visit: Visit) -> DeadLetterQuery:
    """The dead letters that were ticked, so far as the person may see them."""
    ids = [IdPrefix.parse(str(id_)) for id_ in ticked(visit)]
    return DeadLetterQuery.read(ids=ids, tenant=visit.tenant, test=visit.test or None)


PAGES: Final = (
    ConsolePage("POST", "/failures/bulk", _of_groups, Scope.OPERATE),
    ConsolePage("POST", "/failures/{fingerprint}/bulk", _of_group, Scope.OPERATE),
)
