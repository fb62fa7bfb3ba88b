"""What people do with jobs: look, start, pause, resume, cancel, and read results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import LONGEST_DELAY, JobKind, JobState, Plan
from tidings.delivery.states import State
from tidings.delivery.states import sources as states_before
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.jobs.jobs import JobChange, Rival
from tidings.ledger.jobs.rows import Job
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.positions import Position
from tidings.operations import cursors
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.jobs import choosing
from tidings.operations.jobs.views import JobItemView, JobView
from tidings.operations.masks import shown
from tidings.operations.pages import PageView, page_of
from tidings.operations.times import span

__all__ = ["JobView", "cancel", "items", "list_", "pause", "resume", "show", "start"]

NEVER_STARTED: Final = "it was never started"


@dataclass(frozen=True, slots=True)
class JobEdit:
    """What a job changes in dead letters."""

    change: FieldChange
    replay: bool = False
    """Replay what is edited."""

    @property
    def stored(self) -> dict[str, Any]:
        """As `NewJob` takes it."""
        return {
            "edit": self.change.shown(),
            "change": self.change.written,
            "then_replay": self.replay,
        }


@dataclass(frozen=True, slots=True)
class JobListRequest:
    """A page of jobs."""

    limit: int
    states: tuple[JobState, ...] = ()
    tenant: str | None = None
    cursor: str | None = None
    """As the page before has it."""
    test: bool | None = None
    """Of tests only, or of none; None: both."""


@dataclass(frozen=True, slots=True)
class JobItemsRequest:
    """A page of a job's items."""

    id: IdPrefix
    limit: int
    results: tuple[str, ...] = ()
    """Only with one of these results."""
    tenant: str | None = None
    cursor: str | None = None
    """As the page before has it."""


async def look(
    backend: Backend,
    actor: Actor,
    kind: JobKind,
    wanted: DeadLetterFilter,
    *,
    limit: int | None = None,
    note: str = "",
    plan: Plan | None = None,
    edit: JobEdit | None = None,
    patience: float | None = None,
) -> Job:
    """Choose the items of a job as they are now; nothing is done with them before it is started.

    Args:
        backend: The connections.
        actor: Who makes it, and is named in the history of its items.
        kind: What it does.
        wanted: Which dead letters.
        limit: At most so many, the oldest first.
        note: Kept with what is discarded or edited.
        plan: How fast it goes, and when it stops.
        edit: What it changes, if it edits.
        patience: Seconds after which it is returned while its items are still being chosen; None: never.
    """
    return await choosing.choose(
        *(backend, actor, kind, wanted, _words(wanted)),
        note=note,
        plan=plan,
        limit=limit,
        patience=patience,
        **({} if edit is None else edit.stored),
    )


async def look_at_notifications(
    backend: Backend,
    actor: Actor,
    wanted: Filters,
    *,
    note: str,
    limit: int | None = None,
    plan: Plan | None = None,
    patience: float | None = None,
) -> Job:
    """Choose notifications to be cancelled, as they are now; only those that are not sent yet.

    Args:
        backend: The connections.
        actor: Who makes it, and is named in their history.
        wanted: Which notifications.
        note: Kept in their history.
        limit: At most so many, the newest first.
        plan: How fast it goes.
        patience: As of `look`.

    Raises:
        InvalidRequest: The note is empty, or a state is one that can't be cancelled.
    """
    if not note.strip():
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    possible = [State(state) for state in states_before(State.CANCELLED)]
    if others := [state for state in wanted.states if state not in possible]:
        raise InvalidRequest(
            f"{others[0]} notifications can't be cancelled, only {', '.join(possible)}",
            field="states",
        )
    wanted = replace(wanted, states=wanted.states or tuple(possible))
    return await choosing.choose(
        *(backend, actor, JobKind.CANCEL, wanted, _filter_in_words(wanted)),
        note=note,
        plan=plan,
        limit=limit,
        patience=patience,
    )


def _filter_in_words(wanted: Filters) -> Mapping[str, Any]:
    return {name: getattr(wanted, name) for name in Filters.__slots__} | {
        "recipients": [shown(recipient, reveal=False) for recipient in wanted.recipients],
        "states": [state.value for state in wanted.states],
    }


def _words(wanted: DeadLetterFilter) -> Mapping[str, Any]:
    return {name: getattr(wanted, name) for name in DeadLetterFilter.__slots__} | {
        "ids": len(wanted.ids),
        "recipient": wanted.recipient and shown(wanted.recipient, reveal=False),
        "id_prefix": wanted.id_prefix and wanted.id_prefix.text,
        "states": [state.value for state in wanted.states],
    }


async def start(
    backend: Backend,
    actor: Actor,
    id: UUID,
    *,
    plan: Plan | None = None,
    tenant: str | None = None,
    starts_in: float = 0.0,
) -> JobView:
    """Start a job that was looked at.

    Args:
        backend: The connections.
        actor: Who starts it.
        id: The job's.
        plan: Replaces the one that it was looked at with.
        tenant: Only if it is its own.
        starts_in: Seconds in which nothing is done with its items: cancelled before, it leaves all as it is.

    Raises:
        InvalidRequest: The delay is negative or too long.
        NotFound: There is no such job.
        Refused: It was started before, or cancelled.
    """
    change = JobChange(JobState.RUNNING, str(actor), plan=plan, starts_in=_delay(starts_in))
    return await _changed(backend, id, change, tenant)


async def start_alone(
    backend: Backend,
    actor: Actor,
    id: UUID,
    dead_letter: UUID,
    *,
    tenant: str | None = None,
    starts_in: float = 0.0,
) -> JobView:
    """Start the replay of one dead letter, unless another person has just started one.

    Raises:
        InvalidRequest: The delay is negative or too long.
        Refused: Another person was faster; says who and when.
    """
    change = JobChange(JobState.RUNNING, str(actor), starts_in=_delay(starts_in))
    match await backend.ledger.jobs.start_alone(id, dead_letter, change, tenant):
        case Job() as job:
            return JobView.of(job)
        case Rival(who, seconds):
            await forget(backend, actor, id)
            when = f"{span(round(seconds))} ago" if seconds >= 1 else "just now"
            raise Refused(f"{who} started a replay of dead letter {dead_letter} {when}")
        case None:
            raise Refused(f"job {id} is no preview any more")


def _delay(starts_in: float) -> float:
    if not 0 <= starts_in <= LONGEST_DELAY:
        raise InvalidRequest(
            f"{starts_in:g} is not from 0 to {LONGEST_DELAY:g} seconds", field="starts_in_seconds"
        )
    return starts_in


async def show(backend: Backend, id: IdPrefix, *, tenant: str | None = None) -> JobView:
    """A job as it stands.

    Raises:
        Refused: There is none, or there are several.
    """
    found = await backend.ledger.jobs.resolve(id, tenant)
    return JobView.of(await _stored(backend, found, tenant))


async def pause(
    backend: Backend, actor: Actor, id: IdPrefix, *, note: str = "", tenant: str | None = None
) -> JobView:
    """Pause a running job: what is in progress is finished, within a second or two.

    Raises:
        Refused: There is no such job, or it is in another state.
    """
    found = await backend.ledger.jobs.resolve(id, tenant)
    return await _changed(backend, found, JobChange(JobState.PAUSED, str(actor), note), tenant)


async def resume(
    backend: Backend, actor: Actor, id: IdPrefix, *, tenant: str | None = None
) -> JobView:
    """Go on with a job that is paused or stopped; the share of failures counts anew. Raises like `pause`."""
    found = await backend.ledger.jobs.resolve(id, tenant)
    job = await _stored(backend, found, tenant)
    if job.state in {JobState.CHOOSING, JobState.PREVIEW}:
        raise Refused(f"job {job.id} is a preview: start it instead")
    return await _changed(backend, found, JobChange(JobState.RUNNING, str(actor)), tenant)


async def cancel(
    backend: Backend, actor: Actor, id: IdPrefix, *, note: str = "", tenant: str | None = None
) -> JobView:
    """End a job for good; items that have no result stay as they are. Raises like `pause`."""
    found = await backend.ledger.jobs.resolve(id, tenant)
    return await _changed(backend, found, JobChange(JobState.CANCELLED, str(actor), note), tenant)


async def forget(backend: Backend, actor: Actor, id: UUID) -> None:
    """A preview that nobody wants; nothing happens if it was started."""
    job = await backend.ledger.jobs.get(id)
    if job is not None and job.state in {JobState.CHOOSING, JobState.PREVIEW}:
        change = JobChange(JobState.CANCELLED, str(actor), NEVER_STARTED)
        await backend.ledger.jobs.change(id, change)


async def list_(backend: Backend, request: JobListRequest) -> PageView[JobView]:
    """Jobs that were started, newest first.

    Raises:
        InvalidRequest: The cursor is of another list.
    """
    listed, after = ("jobs", request.states, request.tenant, request.test), None
    if request.cursor is not None:
        after = cursors.decode(request.cursor, listed, cursors.position)
    found = await backend.ledger.jobs.list(
        request.limit + 1,
        tenant=request.tenant,
        states=request.states,
        after=after,
        test=request.test,
    )
    return page_of(
        found,
        request.limit,
        JobView.of,
        lambda last: cursors.encode(Position(last.seen_at, last.id), listed),
    )


async def items(backend: Backend, request: JobItemsRequest) -> PageView[JobItemView]:
    """Items and what became of each, in the order of the job. Raises like `list_`.

    Raises:
        NotFound: There is no such job.
    """
    found = await backend.ledger.jobs.resolve(request.id, request.tenant)
    job, listed = await _stored(backend, found, request.tenant), (str(found), request.results)
    after = 0
    if request.cursor is not None:
        after = cursors.decode(request.cursor, listed, int)
    page = await backend.ledger.job_items.page(
        job, request.limit + 1, after=after, results=request.results or None
    )
    return page_of(
        page,
        request.limit,
        JobItemView.of,
        lambda last: cursors.encode(str(last.position), listed),
    )


async def _stored(backend: Backend, id: UUID, tenant: str | None) -> Job:
    job = await backend.ledger.jobs.get(id, tenant)
    if job is None:
        raise NotFound(f"there is no job {id}")
    return job


async def _changed(backend: Backend, id: UUID, change: JobChange, tenant: str | None) -> JobView:
    job = await backend.ledger.jobs.change(id, change, tenant)
    if job is None:
        stands = await _stored(backend, id, tenant)
        if stands.state is JobState.CHOOSING:
            raise Refused(f"the items of job {id} are still being chosen: try again in a moment")
        raise Refused(f"job {id} is {stands.state}, so it can't become {change.state}")
    return JobView.of(job)
