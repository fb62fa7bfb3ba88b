"""What people and programs say about schedules, and how schedules are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tidings.delivery.local_time import zone_named
from tidings.delivery.schedule import Misfire, Timing
from tidings.ledger.schedules.rows import Schedule, ScheduleState
from tidings.operations.masks import shown
from tidings_events import DEFAULT_TENANT

SHOWN: Final = 5
"""Next times in a view."""

Recipient = str | Mapping[str, Any]
"""An address, or an object with `recipient` and what this one has of its own: `data`, `user_id`, `locale`, `entity`."""


@dataclass(frozen=True, slots=True)
class CreateScheduleRequest:
    """A schedule to be stored; without `cron` it runs by hand only."""

    name: str
    content: Mapping[str, Any]
    """The fields of its notifications, as in the contract, without `id` and `recipient`."""
    recipients: Sequence[Recipient] = ()
    cron: str | None = None
    timezone: str = "UTC"
    starts_at: str | None = None
    """Nothing is due before; with an offset, or a local time of `timezone`."""
    ends_at: str | None = None
    """Nothing is due after."""
    max_runs: int | None = None
    misfire: str = Misfire.SEND_ONCE
    tenant: str = DEFAULT_TENANT
    test: bool = False
    """Whether its notifications are tests without saying so."""
    dry_run: bool = False
    """Check it and show its next times only."""


@dataclass(frozen=True, slots=True)
class ChangeScheduleRequest:
    """A schedule, by its id or name."""

    reference: str
    tenant: str | None = None
    """Only if it is this tenant's."""
    note: str = ""
    """Kept on record."""
    reveal: bool = False
    """Show recipients and content."""


@dataclass(frozen=True, slots=True)
class RunScheduleRequest:
    """A schedule to run now."""

    reference: str
    recipients: Sequence[Recipient] | None = None
    """Instead of its own."""
    data: Mapping[str, Any] | None = None
    """Variables of this run, added to the content's."""
    key: str | None = None
    """Names the run: a repeat with the same key sends nothing more."""
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class ListSchedulesRequest:
    """The newest schedules."""

    tenant: str | None = None
    states: tuple[ScheduleState, ...] = ()
    limit: int = 25
    cursor: str | None = None
    """As the page before has it."""
    test: bool | None = None
    """Those of tests only, or none of them; None: both."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule, and its next times."""

    schedule: Schedule
    next_times: tuple[datetime, ...]
    """In its zone."""
    reveal: bool = False

    @classmethod
    def of(cls, schedule: Schedule, now: datetime, *, reveal: bool = False) -> Self:
        """What is shown of one."""
        timing, due = schedule.timing, tuple[datetime, ...]()
        if timing is not None and schedule.state is ScheduleState.ACTIVE:
            due = _next_times(timing, now, schedule.runs)
        return cls(schedule, due, reveal)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        schedule = self.schedule
        data: dict[str, Any] = {
            "id": schedule.id,
            "tenant": schedule.tenant,
            "name": schedule.name,
            "state": schedule.state,
            "cron": schedule.cron,
            "timezone": schedule.timezone,
            "starts_at": schedule.starts_at,
            "ends_at": schedule.ends_at,
            "max_runs": schedule.max_runs,
            "misfire": schedule.misfire,
            "channel": schedule.content.get("channel"),
            "template": schedule.content.get("template"),
            "test": schedule.content.get("test") is True,
            "recipient_count": len(schedule.recipients),
            "next_run_at": schedule.next_run_at,
            "next_times": [due.isoformat() for due in self.next_times],
            "run_count": schedule.runs,
            "skipped_count": schedule.skipped,
            "last_run_at": schedule.last_run_at,
            "last_run": schedule.last_run and _run_as_data(schedule.last_run),
            "created_by": schedule.created_by,
            "created_at": schedule.created_at,
            "updated_at": schedule.updated_at,
            "recipients": [self._recipient(recipient) for recipient in schedule.recipients],
        }
        if self.reveal:
            data["content"] = schedule.content
        return data

    def _recipient(self, recipient: Recipient) -> Recipient:
        if self.reveal:
            return recipient
        if isinstance(recipient, str):
            return shown(recipient, reveal=False)
        return {"recipient": shown(str(recipient.get("recipient", "")), reveal=False)}


@dataclass(frozen=True, slots=True)
class RunView:
    """A run by hand."""

    schedule: Schedule
    ids: tuple[UUID, ...]
    """Of its notifications, in the order of the recipients."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "schedule_id": self.schedule.id,
            "name": self.schedule.name,
            "notification_ids": self.ids,
        }


def _run_as_data(run: Mapping[str, Any]) -> dict[str, Any]:
    names = {"notifications": "notification_count", "skipped": "skipped_count"}
    return {names.get(name, name): value for name, value in run.items()}


def _next_times(timing: Timing, now: datetime, runs: int) -> tuple[datetime, ...]:
    zone = zone_named(timing.timezone)
    return tuple(due.astimezone(zone) for due in timing.next_times(now, runs, SHOWN))
