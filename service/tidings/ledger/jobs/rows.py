"""A job and its items as they are stored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from asyncpg import Record

from tidings.delivery.jobs import JobKind, JobState, Plan

JOB: Final = """
id, kind, tenant, test, state, selection, note, actor, seen_at, items, uncertain, too_late, doubtful, forced, rate, canary,
stop_at, watch, started_at, changed_at, changed_by, ended_at, reason, waves, judged_from, results, outcomes, settled,
edit, change, then_replay, holder, coalesce(lease_until > now(), false) AS leased, starts_at, coalesce(starts_at > now(), false) AS held_back
"""
"""A Job's columns."""


@dataclass(frozen=True, slots=True)
class Job:
    """One action on many items."""

    id: UUID
    kind: JobKind
    tenant: str | None
    """Whose items it has; None for those of all tenants."""
    test: bool
    """Whether its items are tests."""
    state: JobState
    selection: Mapping[str, Any]
    """How its items were chosen, for people."""
    note: str
    actor: str
    """Who made it; named in the history of its items."""
    seen_at: datetime
    """When its items were chosen: what arrived later is not among them."""
    items: int
    uncertain: int
    """Left out: perhaps delivered already."""
    too_late: int
    """Left out: would expire again."""
    doubtful: int
    """Of its items, those that may have been delivered before."""
    plan: Plan
    started_at: datetime | None
    changed_at: datetime
    """When its state changed last."""
    changed_by: str
    ended_at: datetime | None
    reason: str
    """Why it was paused or stopped."""
    waves: Sequence[Mapping[str, int]]
    """Of each canary wave that was judged: how many of its notifications were in which state then."""
    judged_from: int
    """The share of failures counts from the item after this one."""
    results: Mapping[str, int]
    """How many items have which result."""
    outcomes: Mapping[str, int]
    """Of the replayed ones: how many notifications are in which state."""
    settled: bool
    """Whether `outcomes` is final."""
    edit: Mapping[str, Any] | None
    """Of an edit: what it changes, for people."""
    change: str | None = field(repr=False)
    """Of an edit that has not ended: what it changes, with people and content."""
    then_replay: bool
    """Of an edit: whether what is edited is replayed."""
    holder: str | None
    """The process that works on it, or did."""
    leased: bool
    """Whether it does so now."""
    starts_at: datetime | None
    """Nothing is done with its items before."""
    held_back: bool
    """Whether that time has not come yet."""
    untouched: bool = False
    """It was just taken, by the first process ever: none of its items has a result."""

    @classmethod
    def of(cls, row: Mapping[str, Any] | Record) -> Self:
        """Read a row of `JOB`."""
        values = dict(row)
        for name in ("selection", "waves", "results", "outcomes"):
            values[name] = json.loads(values[name])
        values["edit"] = json.loads(values["edit"] or "null")
        plan = Plan(
            values.pop("forced"),
            values.pop("rate"),
            tuple(values.pop("canary")),
            values.pop("stop_at"),
            values.pop("watch"),
        )
        values["kind"], values["state"] = JobKind(values["kind"]), JobState(values["state"])
        return cls(plan=plan, **values)

    @property
    def replays(self) -> bool:
        """Whether it publishes dead letters again."""
        return self.kind is JobKind.REPLAY or self.then_replay

    @property
    def done(self) -> int:
        """Items that have a result."""
        return sum(self.results.values())


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is about to be looked at."""

    id: UUID
    kind: JobKind
    tenant: str | None
    selection: Mapping[str, Any]
    note: str
    actor: str
    plan: Plan = field(default_factory=Plan)
    test: bool = False
    edit: Mapping[str, Any] | None = None
    """Of an edit: what it changes, for people."""
    change: str | None = field(default=None, repr=False)
    """The same with people and content, as its operation writes it."""
    then_replay: bool = False


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item without a result."""

    position: int
    id: UUID
    """Of the dead letter or notification."""
    size: int
    """Bytes of its body."""


@dataclass(frozen=True, slots=True)
class JobItem:
    """An item and what became of it."""

    position: int
    item: UUID
    notification_id: UUID | None
    result: str | None
    """What the job did with it; None if it was not its turn yet."""
    outcome: str | None
    """Of a replay: the state of its notification."""
    detail: str | None
    """Why it was left as it is."""
    superseded_by: UUID | None
    """Of an edit: the dead letter that replaces it."""
