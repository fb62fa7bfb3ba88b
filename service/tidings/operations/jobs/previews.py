"""Looks at a job of any kind before it is started: how many items, and a few of them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.jobs.rows import Job
from tidings.ledger.notifications.filters import Filters
from tidings.operations import filters
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.jobs import control
from tidings.operations.jobs.views import JobView

SAMPLE: Final = 10


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """A job to be looked at."""

    kind: JobKind
    query: DeadLetterQuery
    """Of a replay or discard: which dead letters."""
    notifications: Filters
    """Of a cancellation: which notifications."""
    every: bool = False
    """Every one, if there is no filter."""
    limit: int | None = None
    note: str = ""
    plan: Plan = field(default_factory=Plan)
    tenant: str | None = None
    """Only its own."""


@dataclass(frozen=True, slots=True)
class JobPreview:
    """A job that waits to be started."""

    job: JobView
    sample: tuple[DeadLetterView, ...]
    """A few of its dead letters."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        sample = [dead_letter.as_data() for dead_letter in self.sample]
        return {**self.job.as_data(), "sample": sample}


async def preview(
    backend: Backend, actor: Actor, request: PreviewRequest, *, patience: float | None = None
) -> JobPreview:
    """Choose the items of a job.

    Args:
        backend: The connections.
        actor: Who makes it.
        request: What it does, with which items.
        patience: Seconds after which it is shown while its items are still being chosen, in the background; None:
            it is shown when they are. Then `show` has their count and sample.

    Raises:
        InvalidRequest: Nothing in particular is chosen, or a note is missing.
        NotFound: An id is not known.
    """
    if request.kind is JobKind.CANCEL:
        cancelled = await _of_notifications(backend, actor, request, patience)
        return JobPreview(JobView.of(cancelled), ())
    if not (request.every or _selects(request)):
        raise InvalidRequest("give ids, a filter, or all: true", field="dead_letters")
    note = request.note.strip()
    if request.kind is JobKind.DISCARD and not note:
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    search, query = backend.ledger.dead_letters.search, request.query
    replayed = (DeadLetterState.REPLAYED,) if request.plan.force else ()
    states = () if query.named else (DeadLetterState.OPEN, *replayed)
    wanted = await query.resolved(search, *states)
    job = await control.look(
        *(backend, actor, request.kind, wanted),
        limit=request.limit,
        note=note,
        plan=request.plan,
        patience=patience,
    )
    return await _with_sample(backend, JobView.of(job))


async def show(backend: Backend, id: IdPrefix, *, tenant: str | None = None) -> JobPreview:
    """A job with a sample of its items, as they stand now; none while they are being chosen.

    Raises:
        NotFound: There is no such job.
    """
    return await _with_sample(backend, await control.show(backend, id, tenant=tenant))


async def _with_sample(backend: Backend, job: JobView) -> JobPreview:
    if job.kind is JobKind.CANCEL or not job.items:
        return JobPreview(job, ())
    ids = tuple(await backend.ledger.job_items.first(job.id, SAMPLE))
    search = backend.ledger.dead_letters.search
    found = await search.list(DeadLetterFilter(ids=ids), SAMPLE) if ids else ()
    return JobPreview(job, tuple(DeadLetterView.of(it, reveal=False) for it in found))


def _selects(request: PreviewRequest) -> bool:
    """Whether it filters by anything but the tenant of its sender."""
    query = request.query
    if request.tenant is None:
        return query.selects
    return bool(query.ids) or replace(query.narrowed, tenant=None).selects


async def _of_notifications(
    backend: Backend, actor: Actor, request: PreviewRequest, patience: float | None
) -> Job:
    wanted = request.notifications
    if not (request.every or wanted != Filters(tenant=wanted.tenant, test=wanted.test)):
        raise InvalidRequest("give a filter, or all: true", field="notifications")
    return await control.look_at_notifications(
        *(backend, actor, wanted),
        note=request.note,
        limit=request.limit,
        plan=request.plan,
        patience=patience,
    )


def notification_filters(
    *,
    channel: str | None = None,
    category: str | None = None,
    tenant: str | None = None,
    user_id: str | None = None,
    entity: str | None = None,
    recipient: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    test: bool = False,
) -> Filters:
    """Read a filter as it is written.

    Raises:
        InvalidRequest: A value can't be read.
    """
    about = _read("entity", filters.entity, entity)
    return Filters(
        channels=_one(channel),
        categories=_one(category),
        tenant=_read("tenant", filters.tenant, tenant),
        user_ids=_one(user_id),
        entities=() if about is None else (about,),
        recipients=_one(recipient),
        since=since,
        until=until,
        test=test,
    )


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _read(name: str, parse: Any, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field=name) from None
