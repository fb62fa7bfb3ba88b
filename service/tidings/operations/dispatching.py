"""The schedulers together: copies that run, what is due, and pausing all of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidings.ledger.operators.dispatching import DispatchingBacklog, DispatchingOrder
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.processes import KnownProcess


@dataclass(frozen=True, slots=True)
class DispatchingView:
    """How dispatching stands."""

    copies: tuple[KnownProcess, ...]
    """Schedulers that send heartbeats."""
    order: DispatchingOrder | None
    backlog: DispatchingBacklog

    @property
    def paused(self) -> bool:
        """Whether an operator has paused it."""
        return self.order is not None and self.order.paused

    @property
    def next_due(self) -> datetime | None:
        """When the next notification or schedule is due."""
        times = (self.backlog.next_due, self.backlog.next_run)
        return min((moment for moment in times if moment is not None), default=None)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        backlog = self.backlog
        return {
            "running_count": len(self.copies),
            "schedulers": [
                {
                    "process": copy.actor,
                    "host": copy.host,
                    "pid": copy.pid,
                    "version": copy.version,
                    "started_at": copy.since,
                    "seen_at": copy.seen_at,
                }
                for copy in self.copies
            ],
            "paused": self.paused,
            "order": self.order,
            "next_due_at": self.next_due,
            "overdue_count": backlog.overdue,
            "lag_seconds": round(backlog.lag, 3),
            "schedule_count": backlog.schedules,
            "overdue_schedule_count": backlog.schedules_overdue,
        }


@dataclass(frozen=True, slots=True)
class DispatchingRequest:
    """An order to all schedulers."""

    note: str = ""
    """Kept in the history."""


async def show(backend: Backend) -> DispatchingView:
    """How dispatching stands, for all tenants.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    dispatching = backend.ledger.dispatching
    known, order, backlog = await asyncio.gather(
        backend.ledger.processes.known(), dispatching.last(), dispatching.backlog()
    )
    copies = [process for process in known if process.running and "scheduler" in process.roles]
    return DispatchingView(tuple(copies), order, backlog)


async def is_paused(backend: Backend) -> bool:
    """Whether nothing that is due is published. Raises like `show`."""
    return await backend.ledger.dispatching.paused()


async def pause(backend: Backend, actor: Actor, request: DispatchingRequest) -> bool:
    """Publish nothing that is due: scheduled notifications, runs of schedules, replays, and what was accepted while
    RabbitMQ was unavailable. False if it was paused already. Raises like `show`."""
    return await backend.ledger.dispatching.order(
        paused=True, actor=str(actor), note=request.note.strip()
    )


async def resume(backend: Backend, actor: Actor, request: DispatchingRequest) -> bool:
    """Publish again what is due. False if it was not paused. Raises like `show`."""
    return await backend.ledger.dispatching.order(
        paused=False, actor=str(actor), note=request.note.strip()
    )
