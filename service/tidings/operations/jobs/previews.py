"""Looks at a job of any kind before it is started: how many items, and a few of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.jobs.rows import Job
from tidings.ledger.notifications.filters import Filters
from tidings.operations import filters
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.field_changes import (
    EditTrial,
    FieldChange,
    SampledEdit,
    is_possible,
    sample_of,
)
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobEdit
from tidings.operations.jobs.deciding import OutboxFilter, look_at_entries, sample
from tidings.operations.jobs.views import JobView
from tidings.operations.outbox import OutboxEntryView
from tidings.operations.reveals import note_reveal

SAMPLE: Final = 10
LONGEST_SAMPLED: Final = 512 * 1024
"""Bytes of a body above which it is not shown what an edit changes in it."""


TRIED: Final = 200
"""Dead letters of an edit that are tried out before it is started…"""
LONGEST_TRIED: Final = 16 * 1024
"""… of those whose bodies have no more bytes: together they take some 20 ms."""
AT_ONCE: Final = 20
"""Tried out before other requests have their turn."""


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
    edit: JobEdit | None = None
    """Of an edit: what it changes."""
    outbox: OutboxFilter = field(default_factory=OutboxFilter)
    """Of a decision about entries of the outbox: which."""
    tenant: str | None = None
    """Only its own."""


@dataclass(frozen=True, slots=True)
class JobPreview:
    """A job that waits to be started."""

    job: JobView
    sample: tuple[DeadLetterView, ...]
    """A few of its dead letters."""
    entries: tuple[OutboxEntryView, ...] = ()
    """A few of its entries of the outbox."""
    edits: Mapping[UUID, SampledEdit] = field(default_factory=dict)
    """Of an edit that has not ended: what it changes in these."""
    trial: EditTrial | None = None
    """Of an edit that is not started: how many of the first ones it would leave as they are."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        letters = [dead_letter.as_data() for dead_letter in self.sample]
        edits = [
            {"dead_letter_id": id, "changes": edit.changes, "problem": edit.problem}
            for id, edit in self.edits.items()
        ]
        entries = [entry.as_data() for entry in self.entries]
        tried = self.trial
        return {
            **self.job.as_data(),
            "sample": letters,
            "sample_outbox_entries": entries,
            "sample_edits": edits,
            "edit_trial": None
            if tried is None
            else {
                "first_count": tried.first,
                "looked_at_count": tried.looked_at,
                "invalid_count": tried.invalid,
            },
        }


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
    if request.kind.decides:
        decided = await look_at_entries(
            *(backend, actor, request.kind, request.outbox),
            note=request.note,
            every=request.every,
            limit=request.limit,
            plan=request.plan,
            patience=patience,
        )
        return await _with_sample(backend, JobView.of(decided), None)
    if not (request.every or _selects(request)):
        raise InvalidRequest("give ids, a filter, or all: true", field="dead_letters")
    note = request.note.strip()
    if request.kind in {JobKind.DISCARD, JobKind.EDIT} and not note:
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    edit = _edit_of(request)
    search, query = backend.ledger.dead_letters.search, request.query
    replayed = (DeadLetterState.REPLAYED,) if request.plan.force else ()
    states = () if query.named else (DeadLetterState.OPEN, *replayed)
    wanted = await query.resolved(search, *states)
    job = await control.look(
        *(backend, actor, request.kind, wanted),
        limit=request.limit,
        note=note,
        plan=request.plan,
        edit=edit,
        patience=patience,
    )
    return await _with_sample(backend, JobView.of(job), job.change)


async def show(
    backend: Backend, actor: Actor, id: IdPrefix, *, tenant: str | None = None, reveal: bool = False
) -> JobPreview:
    """A job with a sample of its items, as they stand now; none while they are being chosen.

    Args:
        backend: The connections.
        actor: Who sees it.
        id: The job's.
        tenant: Only if it is its own.
        reveal: What an edit changes with people and content, which is recorded before.

    Raises:
        NotFound: There is no such job.
    """
    found = await backend.ledger.jobs.resolve(id, tenant)
    job = await backend.ledger.jobs.get(found, tenant)
    if job is None:
        raise NotFound(f"there is no job {found}")
    if reveal:
        await note_reveal(backend, actor, {"job": str(job.id)})
    return await _with_sample(backend, JobView.of(job), job.change, reveal=reveal)


def _edit_of(request: PreviewRequest) -> JobEdit | None:
    """What the job changes, if that is what it does.

    Raises:
        InvalidRequest: No notification can be so; or it does something else.
    """
    edit = request.edit
    if request.kind is not JobKind.EDIT:
        if edit is not None:
            raise InvalidRequest("only the kind edit takes it", field="edit")
        return None
    if edit is None:
        raise InvalidRequest("say what is to be changed", field="edit")
    if request.plan.force:
        raise InvalidRequest("an edit can't be forced: only open ones are edited", field="plan")
    edit.change.check_for(request.query.narrowed.channel)
    return edit


async def _with_sample(
    backend: Backend, job: JobView, change: str | None, *, reveal: bool = False
) -> JobPreview:
    if job.kind is JobKind.CANCEL or not job.items:
        return JobPreview(job, ())
    if job.kind.decides:
        return JobPreview(job, (), tuple(await sample(backend, job, SAMPLE)))
    ids = tuple(await backend.ledger.job_items.first(job.id, SAMPLE))
    search = backend.ledger.dead_letters.search
    found = await search.list(DeadLetterFilter(ids=ids), SAMPLE) if ids else ()
    letters = tuple(DeadLetterView.of(it, reveal=False) for it in found)
    if change is None:
        return JobPreview(job, letters)
    changes, edits = FieldChange.read(change), dict[UUID, SampledEdit]()
    for it in letters:
        edits[it.id] = await _edited(backend, it, changes, reveal=reveal)
    trial = await _tried(backend, job, changes) if job.state is JobState.PREVIEW else None
    return JobPreview(job, letters, edits=edits, trial=trial)


async def _tried(backend: Backend, job: JobView, change: FieldChange) -> EditTrial:
    """Try an edit on the first dead letters of a job."""
    ids = await backend.ledger.job_items.first(job.id, TRIED)
    bodies = await backend.ledger.dead_letters.search.open_bodies(ids, LONGEST_TRIED)
    invalid = 0
    for at in range(0, len(bodies), AT_ONCE):
        invalid += sum(not is_possible(body, change) for body in bodies[at : at + AT_ONCE])
        await asyncio.sleep(0)
    return EditTrial(len(ids), len(bodies), invalid)


async def _edited(
    backend: Backend, dead_letter: DeadLetterView, change: FieldChange, *, reveal: bool
) -> SampledEdit:
    if dead_letter.state is not DeadLetterState.OPEN:
        return SampledEdit(None, f"it is {dead_letter.state} by now")
    if dead_letter.size > LONGEST_SAMPLED:
        return SampledEdit(None, "it is too large to be shown here")
    found = await backend.ledger.dead_letters.search.get(dead_letter.id)
    if found is None:
        return SampledEdit(None, "it is gone")
    return sample_of(found[1], change, reveal=reveal)


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
