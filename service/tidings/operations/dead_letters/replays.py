"""Replays: dead letters chosen, previewed, and published again."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Self, TypeAlias

from tidings.broker.publisher import BrokerPublisher
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.ledger.dead_letters.choice import NotReplayed
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.search import Chosen, DeadLetterFilter, Selection
from tidings.ledger.steps import NO_LIMIT, PATIENCE, TimeLimit
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.dry_run import ReplayDryRunTotals, doubtful, dry_run
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.replayer import (
    Progress,
    Replayer,
    ReplaySummary,
    unwatched,
)
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.masks import discreet

__all__ = ["NotReplayed", "Progress", "ReplaySummary", "Selection"]

SAMPLE: Final = 10
LOOKED_AT: Final = 1_000
"""Of those chosen, so many are tried in a dry run before a person decides."""

Watch: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[Progress]]
"""Entered when a replay begins, with a function that interrupts it; gives a function that is called with its progress."""


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

    selection: Selection
    doubtful: int
    """How many may have been delivered before."""
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
    def of_nothing(cls, selection: Selection) -> Self:
        """Nothing was chosen; some may have been left out."""
        return cls.of(ReplayDryRunTotals(), selection)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "chosen": self.chosen,
            "checked": self.checked,
            "would_replay": self.replayed,
            "would_be_stored_until_due": self.later,
            "perhaps_delivered_before": self.doubtful,
            **_refused(self.not_replayed),
            **_left_out(self.selection),
            "sample": [dead_letter.as_data() for dead_letter in self.sample],
        }


@dataclass(frozen=True, slots=True)
class ReplayView:
    """What a replay did."""

    summary: ReplaySummary
    selection: Selection

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        summary, outcomes = self.summary, self.summary.outcomes
        return {
            "run": summary.run,
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
            "perhaps_delivered_before": summary.doubtful,
            "taken_by_another": summary.taken,
            "not_processed": summary.left,
            **_left_out(self.selection),
            **_refused(summary.not_replayed),
            "stopped": summary.stopped,
        }


async def choose(backend: Backend, request: ReplayRequest, *, preview: bool) -> ReplayChoice:
    """Choose what a replay takes.

    Args:
        preview: Also look at the first of them, for the person who decides.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    selection = await _select(backend, request)
    dead_letters, force = selection.dead_letters, request.force
    count = await doubtful(backend.ledger, dead_letters, force=force)
    if not preview:
        return ReplayChoice(selection, count)
    first = dead_letters[:LOOKED_AT]
    done = await _dry_run(backend, first, NO_LIMIT, force=force)
    sample = await _sample(backend, first, done)
    return ReplayChoice(selection, count, sample, len(done.not_replayed))


async def preview_replay(
    backend: Backend, request: ReplayRequest, *, full_scan: bool
) -> ReplayDryRun:
    """Say what a replay would do; nothing changes. Raises like `choose`.

    Args:
        full_scan: Look at every one, not only for a moment at the oldest.
    """
    clock = TimeLimit(None if full_scan else PATIENCE)
    selection = await _select(backend, request)
    done = await _dry_run(backend, selection.dead_letters, clock, force=request.force)
    sample = await _sample(backend, selection.dead_letters[: done.checked], done)
    return ReplayDryRun.of(done, selection, sample)


async def replay(
    backend: Backend, actor: Actor, selection: Selection, plan: Plan, watch: Watch | None = None
) -> ReplayView:
    """Replay dead letters. Safe to kill, and to run twice at once.

    Args:
        selection: As `choose` chose it.

    Raises:
        BrokerUnavailable: RabbitMQ is unavailable: nothing was started.
    """
    async with backend.broker("replay") as connection:
        interrupted = asyncio.Event()
        watched = watch(interrupted.set) if watch else nullcontext(unwatched)
        with watched as progress:
            replayer = Replayer(
                backend.ledger,
                BrokerPublisher(backend.settings.broker, connection),
                Policies(backend.settings).expires_at,
                actor=str(actor),
                progress=progress,
                interrupted=interrupted,
            )
            summary = await replayer.run(selection.dead_letters, plan)
    summary.not_replayed = [*map(_masked, summary.not_replayed)]
    return ReplayView(summary, selection)


async def _select(backend: Backend, request: ReplayRequest) -> Selection:
    if not (request.query.selects or request.every):
        raise InvalidRequest("give ids, filters, or every open dead letter")
    search = backend.ledger.dead_letters.search
    wanted = await request.query.resolved(search, *request.states)
    return await search.select(wanted, request.limit)


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


def _refused(refused: Sequence[NotReplayed]) -> dict[str, Any]:
    return {
        "refused_by_reason": dict(Counter(refusal.refusal for refusal in refused)),
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


def _left_out(selection: Selection) -> dict[str, int]:
    """Those for a person to decide."""
    return {
        "skipped_outcome_unknown": selection.uncertain,
        "skipped_too_late": selection.too_late,
    }
