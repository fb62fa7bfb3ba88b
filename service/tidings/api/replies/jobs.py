"""The JSON of jobs and their items."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.dead_letters import DEAD_LETTER, DeadLetterReply
from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.outbox import OutboxEntryReply
from tidings.api.replies.pages import PageReply
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


class JobEditReply(ReplyModel):
    """What a job changes in dead letters."""

    set: dict[str, Any]
    """Values by field; people are masked, and content is left out."""
    unset: list[str]
    """Fields that it removes."""


class JobReply(ReplyModel):
    """A job as it stands."""

    id: UUID
    kind: JobKind
    tenant: str | None
    """Whose items it has; null for those of all tenants."""
    test: bool
    """Whether its items are tests."""
    state: JobState
    reason: str | None
    """Why it was paused, stopped or cancelled."""
    selection: dict[str, Any]
    """How its items were chosen; a recipient is masked."""
    note: str | None
    created_by: str
    created_at: AwareDatetime
    """When its items were chosen: what arrived later is not among them."""
    item_count: int | None
    """Null while its items are being chosen."""
    skipped_outcome_unknown_count: int
    """Left out, because they may have been delivered: give ids or the reason."""
    skipped_too_late_count: int
    """Left out, because they would expire again."""
    perhaps_delivered_count: int
    done_count: int
    """Items that have a result."""
    results: dict[str, int]
    outcomes: OutcomesReply
    waves: list[OutcomesReply]
    """Of each canary wave, when it was judged."""
    rate_per_second: float | None
    """Items a second; null: no limit."""
    canary: list[int]
    """Sizes of the first waves."""
    max_failure_rate: float | None
    """The share of items that may fail again before it stops."""
    watch_seconds: float
    """How long the outcomes of a wave are waited for."""
    force: bool
    started_at: AwareDatetime | None
    starts_at: AwareDatetime | None
    """Nothing is done with its items before: cancelled until then, it leaves all as they are."""
    updated_at: AwareDatetime
    updated_by: str
    finished_at: AwareDatetime | None
    running_in: str | None
    """The process that works on it now."""
    edit: JobEditReply | None
    """Of an edit: what it changes."""
    then_replay: bool
    """Of an edit: whether what is edited is replayed."""


class EditTrialReply(ReplyModel):
    """How many of the first dead letters, 200 at most, an edit would leave as they are."""

    first_count: int
    """How many were to be looked at: the first 200, or all."""
    looked_at_count: int
    """Of these, those that are still open, and whose bodies have at most 16 kB."""
    invalid_count: int
    """Those that would be no valid notifications."""


class SampleEditReply(ReplyModel):
    """What an edit changes in one dead letter."""

    dead_letter_id: UUID
    changes: list[str] | None
    """Field by field, as it was (`-`) and as it is (`+`); null: nothing."""
    problem: str | None
    """Why it can't be edited so."""


class JobPreviewReply(JobReply):
    """A job that waits to be started."""

    sample: list[DeadLetterReply]
    """A few of its dead letters."""
    sample_outbox_entries: list[OutboxEntryReply]
    """A few of its entries of the outbox."""
    sample_edits: list[SampleEditReply]
    """Of an edit that has not ended: what it changes in these."""
    edit_trial: EditTrialReply | None
    """Of an edit that is not started."""


class JobPageReply(PageReply[JobReply]):
    """Jobs, newest first."""


class JobItemReply(ReplyModel):
    """An item of a job, and what became of it."""

    position: int
    item_id: UUID
    """Of the dead letter or notification."""
    notification_id: UUID | None
    result: str | None
    """What the job did with it, or the reason why not; null if it was not its turn yet."""
    outcome: str | None
    """Of a replay: the state of its notification."""
    detail: str | None
    superseded_by_id: UUID | None
    """Of an edit: the dead letter that replaces it."""


class JobItemPageReply(PageReply[JobItemReply]):
    """Items, in the order of the job."""


JOB: Final[dict[str, Any]] = {
    "id": "0198c2f4-7b31-7f02-8a51-2b6f0c1d9e33",
    "kind": "replay",
    "tenant": "shop",
    "test": False,
    "state": "running",
    "reason": None,
    "selection": {"tenant": "shop", "fingerprint": "6b1f03", "states": ["open"]},
    "note": None,
    "created_by": "api-key shop-prod tk_live_4bF9xQ2m (request 4bf92f35)",
    "created_at": "2026-11-22T18:30:00+00:00",
    "item_count": 1000,
    "skipped_outcome_unknown_count": 0,
    "skipped_too_late_count": 2,
    "perhaps_delivered_count": 0,
    "done_count": 111,
    "results": {"replayed": 110, "malformed": 1},
    "outcomes": {
        "delivered_again": 108,
        "failed_again": 1,
        "retrying": 0,
        "in_progress": 1,
        "other": 0,
    },
    "waves": [],
    "rate_per_second": None,
    "canary": [],
    "max_failure_rate": None,
    "watch_seconds": 60.0,
    "force": False,
    "started_at": "2026-11-22T18:30:05+00:00",
    "starts_at": "2026-11-22T18:30:15+00:00",
    "updated_at": "2026-11-22T18:30:05+00:00",
    "updated_by": "api-key shop-prod tk_live_4bF9xQ2m (request 4bf92f36)",
    "finished_at": None,
    "running_in": "scheduler ops-1:4242:7f3a c0ffee",
    "edit": None,
    "then_replay": False,
}
JOB_PREVIEW: Final[dict[str, Any]] = {
    **JOB,
    "state": "preview",
    "done_count": 0,
    "results": {},
    "outcomes": {
        "delivered_again": 0,
        "failed_again": 0,
        "retrying": 0,
        "in_progress": 0,
        "other": 0,
    },
    "canary": [1, 10, 100],
    "max_failure_rate": 0.2,
    "started_at": None,
    "starts_at": None,
    "updated_at": JOB["created_at"],
    "updated_by": JOB["created_by"],
    "running_in": None,
    "sample": [DEAD_LETTER],
    "sample_outbox_entries": [],
    "sample_edits": [],
    "edit_trial": None,
}
JOB_ITEM: Final[dict[str, Any]] = {
    "position": 1,
    "item_id": DEAD_LETTER["id"],
    "notification_id": DEAD_LETTER["notification_id"],
    "result": "replayed",
    "outcome": "sent",
    "detail": None,
    "superseded_by_id": None,
}
