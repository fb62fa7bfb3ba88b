"""What is shown of jobs and of their items."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tidings.delivery.jobs import JobKind, JobState
from tidings.ledger.jobs.rows import Job, JobItem
from tidings.operations.dead_letters.outcomes import Outcomes
from tidings.operations.json_views import renamed
from tidings.operations.masks import discreet

__all__ = ["JobItemView", "JobView"]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands."""

    id: UUID
    kind: JobKind
    tenant: str | None
    """Whose items it has; None for those of all tenants."""
    state: JobState
    reason: str | None
    """Why it was paused, stopped or cancelled."""
    selection: Mapping[str, Any]
    """How its items were chosen; a recipient is masked."""
    note: str | None
    actor: str
    seen_at: datetime
    """When its items were chosen: what arrived later is not among them."""
    items: int
    """0 while they are being chosen."""
    skipped_outcome_unknown: int
    skipped_too_late: int
    perhaps_delivered_before: int
    done: int
    """Items that have a result."""
    results: Mapping[str, int]
    outcomes: Outcomes
    """Of the replayed ones."""
    waves: tuple[Outcomes, ...]
    """Of each canary wave, when it was judged."""
    rate: float | None
    """Items a second."""
    canary: tuple[int, ...]
    stop_at: float | None
    watch: float
    """Seconds."""
    force: bool
    started_at: datetime | None
    changed_at: datetime
    changed_by: str
    ended_at: datetime | None
    running_in: str | None
    """The process that works on it now."""
    test: bool = False
    """Whether its items are tests."""
    starts_at: datetime | None = None
    """Nothing is done with its items before, and a cancellation leaves all of them as they are."""
    edit: Mapping[str, Any] | None = None
    """Of an edit: the fields that it sets, with people masked and content left out, and those that it takes out."""
    then_replay: bool = False
    """Of an edit: whether what is edited is replayed."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """What is shown of a stored one."""
        return cls(
            job.id,
            job.kind,
            job.tenant,
            job.state,
            job.reason or None,
            job.selection,
            discreet(job.note) or None,
            job.actor,
            job.seen_at,
            job.items,
            job.uncertain,
            job.too_late,
            job.doubtful,
            job.done,
            job.results,
            Outcomes.of(job.outcomes),
            tuple(Outcomes.of(wave) for wave in job.waves),
            job.plan.rate,
            job.plan.canary,
            job.plan.stop_at,
            job.plan.watch,
            job.plan.force,
            job.started_at,
            job.changed_at,
            job.changed_by,
            job.ended_at,
            job.holder if job.leased else None,
            job.test,
            job.starts_at,
            job.edit,
            job.then_replay,
        )

    @property
    def replays(self) -> bool:
        """Whether it publishes dead letters again."""
        return self.kind is JobKind.REPLAY or self.then_replay

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            **renamed(self, _NAMES),
            "item_count": None if self.state is JobState.CHOOSING else self.items,
            "outcomes": _outcomes(self.outcomes),
            "waves": [_outcomes(wave) for wave in self.waves],
        }


_NAMES: Final = {
    "actor": "created_by",
    "seen_at": "created_at",
    "items": "item_count",
    "skipped_outcome_unknown": "skipped_outcome_unknown_count",
    "skipped_too_late": "skipped_too_late_count",
    "perhaps_delivered_before": "perhaps_delivered_count",
    "done": "done_count",
    "rate": "rate_per_second",
    "stop_at": "max_failure_rate",
    "watch": "watch_seconds",
    "changed_at": "updated_at",
    "changed_by": "updated_by",
    "ended_at": "finished_at",
}
"""Names in JSON."""


def _outcomes(outcomes: Outcomes) -> dict[str, int]:
    return {
        "delivered_again": outcomes.delivered,
        "failed_again": outcomes.failed,
        "retrying": outcomes.retrying,
        "in_progress": outcomes.waiting,
        "other": outcomes.other,
    }


@dataclass(frozen=True, slots=True)
class JobItemView:
    """An item of a job, and what became of it."""

    position: int
    item_id: UUID
    """Of the dead letter or notification."""
    notification_id: UUID | None
    result: str | None
    """What the job did with it, or why not; None if it was not its turn yet."""
    outcome: str | None
    """Of a replay: the state of its notification."""
    detail: str | None
    superseded_by_id: UUID | None = None
    """Of an edit: the dead letter that replaces it."""

    @classmethod
    def of(cls, item: JobItem) -> Self:
        """What is shown of a stored one."""
        return cls(
            item.position,
            item.item,
            item.notification_id,
            item.result,
            item.outcome,
            item.detail and discreet(item.detail),
            item.superseded_by,
        )
