"""The JSON of schedules and of dispatching."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import PageReply


class RescheduledReply(ReplyModel):
    """A notification with another due time."""

    id: UUID
    state: str
    scheduled_at: AwareDatetime
    """The instant that was chosen."""
    timezone: str | None
    adjustment: str | None
    """`gap` or `fold` if clocks are put forward or back over the local time; else null."""
    previous_scheduled_at: AwareDatetime
    """Its due time before."""
    expires_at: AwareDatetime | None
    updated_at: AwareDatetime


class CancelledReply(ReplyModel):
    """A cancelled notification."""

    id: UUID
    state: str
    previous_state: str
    perhaps_sent: bool
    """An earlier attempt may have been delivered."""


class LastRunReply(ReplyModel):
    """The last run of a schedule."""

    due_at: AwareDatetime | None
    """Null if it was run by hand."""
    late: bool
    by_hand: bool
    notification_count: int
    skipped_count: int
    """Missed runs before it that were not sent."""
    error: str | None
    """Why nothing was sent."""


class ScheduleReply(ReplyModel):
    """A schedule."""

    id: UUID
    tenant: str
    test: bool
    """Whether its notifications are tests."""
    name: str
    state: str
    cron: str | None
    """Null: it runs by hand only."""
    timezone: str
    starts_at: AwareDatetime | None
    ends_at: AwareDatetime | None
    max_runs: int | None
    misfire: str
    channel: str | None
    template: str | None
    recipient_count: int
    next_run_at: AwareDatetime | None
    next_times: list[AwareDatetime]
    """The next five, with the zone's offset."""
    run_count: int
    skipped_count: int
    last_run_at: AwareDatetime | None
    last_run: LastRunReply | None
    created_by: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    recipients: list[str | dict[str, Any]]
    """Masked, unless they are to be revealed."""
    content: dict[str, Any] | None = None
    """Only if it is to be revealed."""


class SchedulePageReply(PageReply[ScheduleReply]):
    """Schedules, newest first."""


class ScheduleRunReply(ReplyModel):
    """A run by hand."""

    schedule_id: UUID
    name: str
    notification_ids: list[UUID]
    """In the order of the recipients."""


class SchedulerReply(ReplyModel):
    """A scheduler that runs."""

    process: str
    host: str
    pid: int
    version: str
    started_at: AwareDatetime
    seen_at: AwareDatetime


class DispatchingOrderReply(ReplyModel):
    """An operator's last order."""

    paused: bool
    actor: str
    note: str
    at: AwareDatetime


class DispatchingReply(ReplyModel):
    """How dispatching stands."""

    running_count: int
    schedulers: list[SchedulerReply]
    paused: bool
    order: DispatchingOrderReply | None
    next_due_at: AwareDatetime | None
    overdue_count: int
    """Notifications due for more than a minute."""
    lag_seconds: float
    schedule_count: int
    """Active ones with a next time."""
    overdue_schedule_count: int


RESCHEDULED: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "state": "scheduled",
    "scheduled_at": "2026-03-29T03:30:00+02:00",
    "timezone": "Europe/Berlin",
    "adjustment": "gap",
    "previous_scheduled_at": "2026-03-28T08:00:00+00:00",
    "expires_at": None,
    "updated_at": "2026-03-02T09:30:00.120000+00:00",
}
CANCELLED: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "state": "cancelled",
    "previous_state": "scheduled",
    "perhaps_sent": False,
}
SCHEDULE: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5e",
    "tenant": "default",
    "test": False,
    "name": "standup",
    "state": "active",
    "cron": "0 9 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "starts_at": None,
    "ends_at": None,
    "max_runs": None,
    "misfire": "send_once",
    "channel": "email",
    "template": None,
    "recipient_count": 1,
    "next_run_at": "2026-03-03T08:00:00+00:00",
    "next_times": ["2026-03-03T09:00:00+01:00", "2026-03-04T09:00:00+01:00"],
    "run_count": 41,
    "skipped_count": 0,
    "last_run_at": "2026-03-02T08:00:00.031000+00:00",
    "last_run": {
        "due_at": "2026-03-02T08:00:00+00:00",
        "late": False,
        "by_hand": False,
        "notification_count": 1,
        "skipped_count": 0,
        "error": None,
    },
    "created_by": "api-key shop-prod tk_live_4bF9xQ2m",
    "created_at": "2026-01-02T10:00:00+00:00",
    "updated_at": "2026-03-02T08:00:00.031000+00:00",
    "recipients": ["t…@example.com"],
}
SCHEDULE_RUN: Final[dict[str, Any]] = {
    "schedule_id": SCHEDULE["id"],
    "name": "standup",
    "notification_ids": ["0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5f"],
}
DISPATCHING: Final[dict[str, Any]] = {
    "running_count": 1,
    "schedulers": [
        {
            "process": "scheduler web-1:4242:7f3a91",
            "host": "web-1",
            "pid": 4242,
            "version": "0.2.0",
            "started_at": "2026-03-02T08:00:00+00:00",
            "seen_at": "2026-03-02T09:30:00+00:00",
        }
    ],
    "paused": False,
    "order": None,
    "next_due_at": "2026-03-02T10:00:00+00:00",
    "overdue_count": 0,
    "lag_seconds": 0.0,
    "schedule_count": 3,
    "overdue_schedule_count": 0,
}
