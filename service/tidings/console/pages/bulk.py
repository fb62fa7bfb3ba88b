"""Bulk actions on dead letters: those that are ticked, or all that match, become a job that waits to be confirmed."""

from typing import Final

from tidings.console.dead_letter_filters import DeadLetterChoice, ticked
from tidings.console.page import Answer, ConsolePage, SeeOther, Visit
from tidings.console.pages.failures import group_page, groups_page
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind
from tidings.operations.dead_letters.query import DeadLetterQuery
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
    request = PreviewRequest(
        _kind(visit.form.text("do")),
        DeadLetterChoice.read(visit, fingerprint).query() if every else _ticked(visit),
        Filters(),
        every=every,
        note=visit.form.text("note"),
        tenant=visit.tenant,
    )
    made = await preview(visit.backend, visit.actor, request, patience=PATIENCE)
    return SeeOther(f"/jobs/{made.job.id}")


def _kind(text: str) -> JobKind:
    if text in {JobKind.REPLAY, JobKind.DISCARD}:
        return JobKind(text)
    raise InvalidRequest("choose what is to be done", field="do")


def _ticked(visit: Visit) -> DeadLetterQuery:
    """The dead letters that were ticked, so far as the person may see them."""
    ids = [IdPrefix.parse(str(id_)) for id_ in ticked(visit)]
    return DeadLetterQuery.read(ids=ids, tenant=visit.tenant, test=visit.test or None)


PAGES: Final = (
    ConsolePage("POST", "/failures/bulk", _of_groups, Scope.OPERATE),
    ConsolePage("POST", "/failures/{fingerprint}/bulk", _of_group, Scope.OPERATE),
)
