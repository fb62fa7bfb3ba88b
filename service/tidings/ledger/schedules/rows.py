"""How a schedule is read from its row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from tidings.delivery.schedule import Misfire, Timing


class ScheduleState(StrEnum):
    """Whether a schedule runs."""

    ACTIVE = "active"
    PAUSED = "paused"
    """By a person: its times pass, and none is made up for."""
    ENDED = "ended"
    """Its last time is over, or it had all its runs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it is stored."""

    id: UUID
    tenant: str
    name: str
    cron: str | None
    """None: it runs by hand only, as a template."""
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    misfire: Misfire
    content: Mapping[str, Any]
    """The fields that all its notifications have."""
    recipients: tuple[str | Mapping[str, Any], ...]
    state: ScheduleState
    next_run_at: datetime | None
    runs: int
    """By time; those by hand don't count."""
    skipped: int
    last_run_at: datetime | None
    last_run: Mapping[str, Any] | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @property
    def timing(self) -> Timing | None:
        """Its times; None if it runs by hand only."""
        if self.cron is None:
            return None
        return Timing(self.cron, self.timezone, self.starts_at, self.ends_at, self.max_runs)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read a row."""
        values = {name: row[name] for name in NAMES}
        return cls(
            **{
                **values,
                "misfire": Misfire(row["misfire"]),
                "state": ScheduleState(row["state"]),
                "content": json.loads(row["content"]),
                "recipients": tuple(json.loads(row["recipients"])),
                "last_run": json.loads(row["last_run"] or "null"),
            }
        )


NAMES: Final = tuple(field.name for field in fields(Schedule))
COLUMNS: Final = ", ".join(NAMES)
