"""Replays: dead letters chosen, previewed, and published again by a job."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias
from uuid import UUID

from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import BrokerUnavailable, InvalidRequest, Refused
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.ledger.dead_letters.choice import TAKEN, NotReplayed
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.search import Chosen, DeadLetterFilter, Selection
from tidings.ledger.jobs.actions import REPLAYED, SCHEDULED
from tidings.ledger.jobs.rows import Job
from tidings.ledger.steps import NO_LIMIT, PATIENCE, TimeLimit
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.dry_run import ReplayDryRunTotals, dry_run
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.dead_letters.pacing import INTERRUPTED
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.jobs import control
from tidings.operations.jobs.hosting import follow, scheduler_runs
from tidings.operations.masks import discreet

if TYPE_CHECKING:
    from tidings.broker.connection import BrokerConnection

__all__ = ["TAKEN", "NotReplayed", "Progress", "ReplaySummary", "Selection"]

SAMPLE: Final = 10
NAMED: Final = 20
"""Notifications that a summary names."""
EXPLAINED: Final = 1_000
"""Dead letters of which a summary says why they were not replayed."""
LOOKED_AT: Final = 1_000
"""Of those chosen, so many are tried in a dry run before a person decides."""


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay did, or has done so far."""

    run: UUID
    """The job."""
    state: JobState
    chosen: int
    results: Mapping[str, int]
    """How many dead letters have which result."""
    outcomes: Outcomes
    waves: tuple[Outcomes, ...] = ()
    """Of the first ones, each as it stood when the next was decided on."""
    doubtful: int = 0
    """Of those chosen, those that may have been delivered before."""
    stopped: str | None = None
    """Why the rest was left alone."""
    notifications: tuple[UUID, ...] = ()
    """The first few that were published; only at the end."""
    not_replayed: tuple[NotReplayed, ...] = ()
    """The first of those that were not; only at the end."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Sum up a job."""
        return cls(
            job.id,
            job.state,
            job.items,
            job.results,
            Outcomes.of(job.outcomes),
            tuple(Outcomes.of(wave) for wave in job.waves),
            job.doubtful,
            _why_stopped(job),
        )

    @property
    def replayed(self) -> int:
        """Back in their lanes, or about to be: a scheduler publishes what was not confirmed."""
        return self.results.get(REPLAYED, 0) + self.later

    @property
    def later(self) -> int:
        """Of these, stored until their `scheduled_at`."""
        return self.results.get(SCHEDULED, 0)

    @property
    def refusals(self) -> Mapping[ReplayRefusal, int]:
        """How many were not replayed, by reason."""
        counts = self.results.items()
        return {
            ReplayRefusal(result): count
            for result, count in counts
            if result not in {REPLAYED, SCHEDULED}
        }

    @property
    def refused(self) -> list[NotReplayed]:
        """The first of the dead letters that can't be replayed as they are."""
        return [refusal for refusal in self.not_replayed if not refusal.taken]

    @property
    def taken(self) -> int:
        """Dead letters that another replay had taken."""
        return sum(count for refusal, count in self.refusals.items() if refusal in TAKEN)

    @property
    def left(self) -> int:
        """Dead letters that were not tried because the replay stopped."""
        return self.chosen - sum(self.results.values())

    @property
    def well(self) -> bool:
        """Whether nothing needs a person's attention."""
        refused = sum(self.refusals.values()) - self.taken
        return not (self.outcomes.failed or refused or self.stopped)


def _why_stopped(job: Job) -> str | None:
    match job.state:
        case JobState.STOPPED:
            return job.reason
        case JobState.PAUSED if job.reason == INTERRUPTED:
            return INTERRUPTED
        case JobState.PAUSED | JobState.CANCELLED:
            return f"{job.state} by {job.changed_by}"
        case _:
            return None


Progress: TypeAlias = Callable[[ReplaySummary], None]
"""Called with the summary so far, whenever it changed."""
Watch: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[Progress]]
"""Entered when a replay begins, with a function that interrupts it; gives a function that is called with its progress."""


def unwatched(_: ReplaySummary) -> None:
    """Ignores progress."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Dead letters to replay."""

    query: DeadLetterQuery
    every: bool = False
    """Every open one, if the query names none in particular."""
    limit: int | None = None
    """At most so many, the oldest first."""
    force: bool = False
    """Also those that were replayed before: their notifications may be sent a second time."""

    @property
    def states(self) -> tuple[DeadLetterState, ...]:
        """Those that a filter chooses from; if they are named, the reason is given for each that is not replayed."""
        if self.query.named:
            return ()
        replayed = (DeadLetterState.REPLAYED,) if self.force else ()
        return (DeadLetterState.OPEN, *replayed)


@dataclass(frozen=True, slots=True)
class ReplayChoice:
    """What was chosen to be replayed, and what a person has to know to decide."""

    job: UUID
    """Waits to be started."""
    chosen: int
    uncertain: int
    """Left out: perhaps delivered already."""
    too_late: int
    """Left out: would expire again."""
    doubtful: int
    """Of those chosen, those that may have been delivered before."""
    sample: tuple[DeadLetterView, ...] = ()
    """A few of those that will go; only in a preview."""
    refused: int = 0
    """Of the first `LOOKED_AT`, those that can't be replayed; only in a preview."""


@dataclass(frozen=True, slots=True)
class ReplayDryRun:
    """What a replay would do."""

    chosen: int
    checked: int
    """The counts are of so many, the oldest of those chosen."""
    replayed: int
    later: int
    """Of these, stored until their `scheduled_at`."""
    doubtful: int
    """Of these, those that may have been delivered before."""
    not_replayed: tuple[NotReplayed, ...]
    selection: Selection
    sample: tuple[DeadLetterView, ...]

    @classmethod
    def of(
        cls, done: ReplayDryRunTotals, selection: Selection, sample: Sequence[DeadLetterView] = ()
    ) -> Self:
        """Sum it up."""
        return cls(
            len(selection.dead_letters),
            done.checked,
            done.replayed,
            done.later,
            done.doubtful,
            tuple(map(_masked, done.not_replayed)),
            selection,
            tuple(sample),
        )

    @classmethod
    def of_nothing(cls, choice: ReplayChoice) -> Self:
        """Nothing was chosen; some may have been left out."""
        return cls.of(ReplayDryRunTotals(), Selection((), choice.uncertain, choice.too_late))

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "chosen": self.chosen,
            "checked": self.checked,
            "would_replay": self.replayed,
            "would_be_stored_until_due": self.later,
            "perhaps_delivered_count": self.doubtful,
            **_refused(
                Counter(refusal.refusal for refusal in self.not_replayed), self.not_replayed
            ),
            "skipped_outcome_unknown_count": self.selection.uncertain,
            "skipped_too_late_count": self.selection.too_late,
            "sample": [dead_letter.as_data() for dead_letter in self.sample],
        }


@dataclass(frozen=True, slots=True)
class ReplayView:
    """What a replay did."""

    summary: ReplaySummary
    uncertain: int
    """Left out: perhaps delivered already."""
    too_late: int
    """Left out: would expire again."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        summary, outcomes = self.summary, self.summary.outcomes
        return {
            "run": summary.run,
            "state": summary.state,
            "first_notifications": summary.notifications,
            "chosen": summary.chosen,
            "replayed": summary.replayed,
            "delivered_again": outcomes.delivered,
            "failed_again": outcomes.failed,
            "retrying": outcomes.retrying,
            "in_progress": outcomes.waiting,
            "stored_until_due": summary.later,
            "waves": [
                {
                    "sent": wave.total,
                    "delivered_again": wave.delivered,
                    "failed_again": wave.failed,
                    "retrying": wave.retrying,
                }
                for wave in summary.waves
            ],
            "perhaps_delivered_count": summary.doubtful,
            "taken_by_another": summary.taken,
            "not_processed": summary.left,
            "skipped_outcome_unknown_count": self.uncertain,
            "skipped_too_late_count": self.too_late,
            **_refused(summary.refusals, summary.not_replayed),
            "stopped": summary.stopped,
        }


async def choose(
    backend: Backend, actor: Actor, request: ReplayRequest, plan: Plan, *, preview: bool
) -> ReplayChoice:
    """Choose what a replay takes, and keep it as a job that waits to be started.

    Args:
        backend: The connections.
        actor: Who replays.
        request: What is to be replayed.
        plan: How fast, in which waves, and when it stops.
        preview: Also look at the first of them, for the person who decides.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    wanted = await _wanted(backend, request)
    plan = replace(plan, force=request.force)
    job = await control.look(backend, actor, JobKind.REPLAY, wanted, limit=request.limit, plan=plan)
    choice = ReplayChoice(job.id, job.items, job.uncertain, job.too_late, job.doubtful)
    if not (preview and job.items):
        return choice
    items = await backend.ledger.job_items.waiting(job.id, 0, job.items, LOOKED_AT)
    first = [Chosen(item.id, item.size) for item in items]
    done = await _dry_run(backend, first, NO_LIMIT, force=request.force)
    sample = await _sample(backend, first, done)
    return replace(choice, sample=sample, refused=len(done.not_replayed))


async def preview_replay(
    backend: Backend, request: ReplayRequest, *, full_scan: bool
) -> ReplayDryRun:
    """Say what a replay would do; nothing changes. Raises like `choose`.

    Args:
        full_scan: Look at every one, not only for a moment at the oldest.
    """
    clock = TimeLimit(None if full_scan else PATIENCE)
    wanted = await _wanted(backend, request)
    selection = await backend.ledger.dead_letters.search.select(wanted, request.limit)
    done = await _dry_run(backend, selection.dead_letters, clock, force=request.force)
    sample = await _sample(backend, selection.dead_letters[: done.checked], done)
    return ReplayDryRun.of(done, selection, sample)


async def replay(
    backend: Backend,
    actor: Actor,
    job: UUID,
    watch: Watch | None = None,
    *,
    starts_in: float = 0.0,
) -> ReplayView:
    """Start the job of a replay, and watch it to its end. Safe to kill.

    A scheduler runs it; where none does, this process. An interruption ends the watch: the job goes on in the
    scheduler, or is paused where it ran here.

    Args:
        backend: The connections.
        actor: Who replays.
        job: As `choose` made it.
        watch: Is shown how it gets on.
        starts_in: Seconds in which nothing is published, and the job can be cancelled.

    Raises:
        InvalidRequest: The delay is too long.
        BrokerUnavailable: RabbitMQ is unavailable: nothing was started.
    """
    async with AsyncExitStack() as stack:
        connection = None
        if not await scheduler_runs(backend):
            try:
                connection = await stack.enter_async_context(backend.broker("replay"))
            except BrokerUnavailable:
                await control.forget(backend, actor, job)
                raise
        await control.start(backend, actor, job, starts_in=starts_in)
        return await watch_replay(backend, actor, job, watch, connection)


async def watch_replay(
    backend: Backend,
    actor: Actor,
    job: UUID,
    watch: Watch | None = None,
    connection: "BrokerConnection | None" = None,
) -> ReplayView:
    """Watch a replay to its end, and run it where no scheduler does. Interrupted as `replay`.

    Raises:
        Refused: The job is no replay.
        LedgerUnavailable: PostgreSQL is unavailable. The job goes on as soon as a scheduler can.
    """
    interrupted = asyncio.Event()
    with watch(interrupted.set) if watch else nullcontext(unwatched) as progress:

        def saw(job: Job) -> None:
            if job.kind is not JobKind.REPLAY:
                raise Refused(f"job {job.id} is no replay")
            progress(ReplaySummary.of(job))

        ended = await follow(backend, actor, job, saw, interrupted, connection)
    summary = await _in_full(backend, ended)
    if interrupted.is_set() and ended.state is JobState.RUNNING:
        summary = replace(summary, stopped=INTERRUPTED)
    return ReplayView(summary, ended.uncertain, ended.too_late)


async def _in_full(backend: Backend, job: Job) -> ReplaySummary:
    """With the first notifications that were published, and the first dead letters that were not."""
    items, done = backend.ledger.job_items, (REPLAYED, SCHEDULED)
    published = await items.page(job, NAMED, results=(REPLAYED,)) if job.results else ()
    others = set(job.results) - set(done)
    refused = await items.page(job, EXPLAINED, but=done) if others else ()
    return replace(
        ReplaySummary.of(job),
        notifications=tuple(
            item.notification_id for item in published if item.notification_id is not None
        ),
        not_replayed=tuple(
            NotReplayed(item.item, ReplayRefusal(item.result or ""), discreet(item.detail or ""))
            for item in refused
        ),
    )


async def _wanted(backend: Backend, request: ReplayRequest) -> DeadLetterFilter:
    if not (request.query.selects or request.every):
        raise InvalidRequest("give ids, filters, or every open dead letter")
    return await request.query.resolved(backend.ledger.dead_letters.search, *request.states)


async def _dry_run(
    backend: Backend, dead_letters: Sequence[Chosen], clock: TimeLimit, *, force: bool
) -> ReplayDryRunTotals:
    expires_at = Policies(backend.settings).expires_at
    return await dry_run(backend.ledger, dead_letters, expires_at, force=force, clock=clock)


async def _sample(
    backend: Backend, dead_letters: Sequence[Chosen], done: ReplayDryRunTotals
) -> tuple[DeadLetterView, ...]:
    """A few of those that will go."""
    refused = {refusal.dead_letter for refusal in done.not_replayed}
    first = tuple(
        islice(
            (dead_letter.id for dead_letter in dead_letters if dead_letter.id not in refused),
            SAMPLE,
        )
    )
    search = backend.ledger.dead_letters.search
    found = await search.list(DeadLetterFilter(ids=first), SAMPLE) if first else ()
    return tuple(DeadLetterView.of(dead_letter, reveal=False) for dead_letter in found)


def _masked(refusal: NotReplayed) -> NotReplayed:
    return replace(refusal, message=discreet(refusal.message))


def _refused(counts: Mapping[ReplayRefusal, int], refused: Sequence[NotReplayed]) -> dict[str, Any]:
    return {
        "refused_by_reason": dict(counts),
        "refused": [
            {
                "dead_letter": refusal.dead_letter,
                "reason": refusal.refusal,
                "message": refusal.message,
            }
            for refusal in refused
            if not refusal.taken
        ],
    }
