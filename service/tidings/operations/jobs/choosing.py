"""Chooses the items of jobs: while somebody waits for it, in the background, or for a process that has ended."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import structlog

from tidings.delivery.errors import NotFound, TidingsError
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.ledger.jobs.rows import Job, NewJob
from tidings.ledger.jobs.snapshots import Wanted
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings_events.notifications.base import new_id

log = structlog.get_logger(__name__)

LEFT: Final = 2.0
"""Seconds after which a scheduler looks whether a job's items are still being chosen."""
AGAIN: Final = 10.0
"""Seconds after which a failed choice is tried again."""
LOOK: Final = 0.2
"""Seconds between two looks at a choice that another process has taken over."""


async def choose(
    backend: Backend,
    actor: Actor,
    kind: JobKind,
    wanted: Wanted,
    words: Mapping[str, Any],
    *,
    note: str,
    plan: Plan | None,
    limit: int | None,
    patience: float | None,
    **edit: Any,
) -> Job:
    """Store a job and choose its items.

    Args:
        backend: The connections.
        actor: Who makes it.
        kind: What it does.
        wanted: Which dead letters, notifications or entries of the outbox.
        words: The same for people; what is not filtered by is left out.
        note: Why.
        plan: How fast it goes, and when it stops.
        limit: At most so many.
        patience: Seconds after which it goes on in the background; None: all is chosen before this returns.
        edit: What it changes, as `NewJob` takes it.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    new = NewJob(
        new_id(),
        kind,
        wanted.tenant,
        {name: value for name, value in {**words, "limit": limit}.items() if value},
        note.strip(),
        str(actor),
        plan or Plan(),
        test=wanted.test is True,
        **edit,
    )
    job = await backend.ledger.snapshots.add(new, wanted, limit)
    if patience is None:
        while job.state is JobState.CHOOSING:
            if (chosen := await backend.ledger.snapshots.choose(job.id)) is not None:
                return chosen
            await asyncio.sleep(LOOK)  # a scheduler took it for one that nobody chooses
            job = await _stored(backend, job.id)
        return job
    task = asyncio.create_task(_choose(backend, job.id), name="choose the items of a job")
    backend.choosing.add(task)
    task.add_done_callback(backend.choosing.discard)
    done, _ = await asyncio.wait([task], timeout=patience)
    return await _stored(backend, job.id) if done else job


async def choose_what_is_left(backend: Backend) -> None:
    """Choose the items of jobs whose process has ended before it had."""
    with suppress(TidingsError):  # whoever runs jobs reports that PostgreSQL is away
        if (job := await backend.ledger.snapshots.left(LEFT)) is not None:
            await _choose(backend, job)


async def _choose(backend: Backend, job: UUID) -> None:
    try:
        await backend.ledger.snapshots.choose(job)
    except TidingsError as error:
        log.warning("items of a job not chosen", job=str(job), error=str(error))
        with suppress(TidingsError):
            await backend.ledger.snapshots.failed(job, f"items not chosen yet: {error}", AGAIN)


async def _stored(backend: Backend, id: UUID) -> Job:
    job = await backend.ledger.jobs.get(id)
    if job is None:
        raise NotFound(f"there is no job {id}")
    return job
