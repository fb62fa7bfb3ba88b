"""The JSON of jobs and their items."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.dead_letters import DeadLetterReply
from tidings.api.replies.notifications import ReplyModel
from tidings.delivery.jobs import JobKind, JobState


class OutcomesReply(ReplyModel):
    """What became of replayed dead letters."""

    delivered_again: int
    failed_again: int
    retrying: int
    """Failed at least once more, and are tried again."""
    in_progress: int
    other: int
    """Cancelled, suppressed, scheduled for later."""


class JobReply(ReplyModel):
    """A job as it stands."""

    id: UUID
    kind: JobKind
    tenant: str | None
    """Whose items it has; null for those of all tenants."""
    state: JobState
    reason: str | None
    """Why it was paused, stopped or cancelled."""
    selection: dict[str, Any]
    """How its items were chosen; a recipient is masked."""
    note: str | None
    actor: str
    seen_at: AwareDatetime
    """When its items were chosen: what arrived later is not among them."""
    items: int
    skipped_outcome_unknown: int
    """Left out, because they may have been delivered: give ids or the reason."""
    skipped_too_late: int
    """Left out, because they would expire again."""
    perhaps_delivered_before: int
    done: int
    """Items that have a result."""
    results: dict[str, int]
    outcomes: OutcomesReply
    waves: list[OutcomesReply]
    """Of each canary wave, when it was judged."""
    rate: float | None
    canary: list[int]
    stop_at: float | None
    watch: float
    """Seconds."""
    force: bool
    started_at: AwareDatetime | None
    changed_at: AwareDatetime
    changed_by: str
    ended_at: AwareDatetime | None
    running_in: str | None
    """The process that works on it now."""


class JobPreviewReply(JobReply):
    """A job that waits to be started."""

    sample: list[DeadLetterReply]
    """A few of its dead letters."""


class JobsReply(ReplyModel):
    """A page of jobs, newest first."""

    jobs: list[JobReply]
    next_cursor: str | None
    """The `cursor` of the next page."""


class JobItemReply(ReplyModel):
    """An item of a job, and what became of it."""

    position: int
    item: UUID
    """The dead letter or notification."""
    notification_id: UUID | None
    result: str | None
    """What the job did with it, or the reason why not; null if it was not its turn yet."""
    outcome: str | None
    """Of a replay: the state of its notification."""
    detail: str | None


class JobItemsReply(ReplyModel):
    """A page of items, in the order of the job."""

    items: list[JobItemReply]
    next_cursor: str | None
    """The `cursor` of the next page."""


JOB: Final[dict[str, Any]] = {
    "id": "0198c2f4-7b31-7f02-8a51-2b6f0c1d9e33",
    "kind": "replay",
    "tenant": "shop",
    "state": "running",
    "reason": None,
    "selection": {"tenant": "shop", "fingerprint": "6b1f03", "states": ["open"]},
    "note": None,
    "actor": "api-key shop-prod tk_live_4bF9xQ2m (request 4bf92f35)",
    "seen_at": "2026-11-22T18:30:00+00:00",
    "items": 1000,
    "skipped_outcome_unknown": 0,
    "skipped_too_late": 2,
    "perhaps_delivered_before": 0,
    "done": 111,
    "results": {"replayed": 110, "malformed": 1},
    "outcomes": {
        "delivered_again": 108,
        "failed_again": 1,
        "retrying": 0,
        "in_progress": 1,
        "other": 0,
    },
    "waves": [],
    "rate": None,
    "canary": [],
    "stop_at": None,
    "watch": 60.0,
    "force": False,
    "started_at": "2026-11-22T18:30:05+00:00",
    "changed_at": "2026-11-22T18:30:05+00:00",
    "changed_by": "api-key shop-prod tk_live_4bF9xQ2m (request 4bf92f36)",
    "ended_at": None,
    "running_in": "scheduler ops-1:4242:7f3a c0ffee",
}
