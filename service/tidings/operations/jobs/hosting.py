"""Runs jobs where there is a process for them: in a scheduler, or in the one that waits for a job.

The lease decides: a job is run by one process at a time, whichever that is.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

import structlog

from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable, NotFound, TidingsError
from tidings.delivery.jobs import JobState
from tidings.ledger.jobs.jobs import JobChange
from tidings.ledger.jobs.rows import Job
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.pacing import INTERRUPTED, LOOK
from tidings.operations.jobs import choosing
from tidings.operations.jobs.runner import COUNTING, JobRunner
from tidings.operations.jobs.tally import Tally, is_final
from tidings.runtime.background import BackgroundTask, end

if TYPE_CHECKING:
    from tidings.broker.connection import BrokerConnection

log = structlog.get_logger(__name__)

AT_ONCE: Final = 10
"""Jobs that one scheduler runs at the same time."""
EVERY: Final = 0.2
"""Seconds between two looks for jobs that were started."""
CHOOSE_EVERY: Final = 1.0
"""Seconds between two looks for jobs whose items nobody chooses, and after a failure."""
SETTLE_EVERY: Final = 60.0
"""Seconds between two looks at what became of the items of jobs that have ended, and at jobs to be deleted."""
AGAIN: Final = 10.0
"""Seconds after which a job is taken again whose server was unavailable."""
NOBODY: Final = 5.0
"""Seconds to wait for a scheduler that is known to run, before the job is run here."""
KEPT: Final = 30 * 86_400.0
"""Seconds for which jobs that have ended are kept."""
DELETED_AT_ONCE: Final = 5_000

SawJob = Callable[[Job], None]
"""Called with the job as it stands, whenever it got on."""


class JobHost:
    """Runs jobs until cancelled: the work of a scheduler. Any number may."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._choosing: asyncio.Task[None] | None = None

    async def run_for_ever(self) -> None:
        """Take jobs and run them; and look after those that have ended."""
        chosen = -CHOOSE_EVERY
        settling = BackgroundTask("look after ended jobs", self._look_after_for_ever)
        try:
            while True:
                pause = EVERY
                try:
                    await self._take()
                    if monotonic() - chosen >= CHOOSE_EVERY:
                        chosen = monotonic()
                        self._choose()
                except TidingsError as error:
                    log.warning("jobs not looked for", error=str(error))
                    pause = CHOOSE_EVERY
                await asyncio.sleep(pause)
        finally:
            await settling.end()
            for task in [*self._running.values(), *([self._choosing] if self._choosing else [])]:
                await end(task)

    async def _look_after_for_ever(self) -> None:
        """Beside the jobs: to count what became of a million items takes long, and none may wait for it."""
        while True:
            began = monotonic()
            try:
                await look_after(self._backend)
            except TidingsError as error:
                log.warning("ended jobs not looked after", error=str(error))
            took = monotonic() - began
            await asyncio.sleep(max(SETTLE_EVERY, took / COUNTING))

    def _choose(self) -> None:
        """Choose the items of jobs for processes that have ended; it may take longer than others can wait."""
        if self._choosing is None or self._choosing.done():
            self._choosing = asyncio.create_task(choosing.choose_what_is_left(self._backend))

    async def _take(self) -> None:
        self._running = {id: task for id, task in self._running.items() if not task.done()}
        while len(self._running) < AT_ONCE:
            holder = holder_name(self._backend)
            job = await self._backend.ledger.jobs.take(holder)
            if job is None:
                return
            log.info("job taken", job=str(job.id), kind=job.kind.value, items=job.items)
            self._running[job.id] = asyncio.create_task(self._run(job, holder))

    async def _run(self, job: Job, holder: str) -> None:
        jobs = self._backend.ledger.jobs
        try:
            await JobRunner(self._backend, job, holder).run()
        except (BrokerUnavailable, LedgerUnavailable) as error:
            log.warning("job waiting", job=str(job.id), error=str(error))
            with suppress(TidingsError):
                await jobs.release(job.id, holder, AGAIN)
        except TidingsError as error:
            log.warning("job stopped", job=str(job.id), error=str(error))
            with suppress(TidingsError):
                await jobs.end(job.id, holder, JobState.STOPPED, str(error))
        except Exception:
            log.exception("unexpected error in a job", job=str(job.id))
            with suppress(TidingsError):
                await jobs.end(
                    job.id, holder, JobState.STOPPED, "unexpected error: a scheduler's log has it"
                )


async def look_after(backend: Backend) -> None:
    """Store what became of the items of jobs that have ended, and delete old jobs.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    jobs, items = backend.ledger.jobs, backend.ledger.job_items
    for job in await jobs.unsettled(AT_ONCE):
        tally = Tally(lambda after, upto, id=job.id: items.outcomes(id, after, upto))  # type: ignore[misc]  # mypy#15459
        if job.replays:
            await tally.look(job.items)
        counts = tally.counts
        await jobs.settle(job.id, await items.results(job.id), counts, final=is_final(counts))
    while await jobs.tidy(KEPT, DELETED_AT_ONCE):
        pass


def holder_name(backend: Backend) -> str:
    """A name for a lease, unlike any other's."""
    return f"{backend.ledger.actor} {uuid4().hex[:6]}"


async def scheduler_runs(backend: Backend) -> bool:
    """Whether a process that runs jobs has just sent a heartbeat."""
    known = await backend.ledger.processes.known()
    return any(process.running and "scheduler" in process.roles for process in known)


async def follow(
    backend: Backend,
    actor: Actor,
    id: UUID,
    saw: SawJob,
    interrupted: asyncio.Event,
    connection: "BrokerConnection | None" = None,
) -> Job:
    """Watch a job until it has ended, and run it here if no scheduler does.

    Args:
        backend: The connections.
        actor: Who pauses it by an interruption, where it is run here. A job that another process runs goes on.
        id: The job's.
        saw: Called with the job as it stands.
        interrupted: Ends the watch.
        connection: To RabbitMQ, if one is open.

    Raises:
        BrokerUnavailable: RabbitMQ is unavailable, and the job was to run here.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    jobs = backend.ledger.jobs
    patience = NOBODY if await scheduler_runs(backend) else 0.0
    leased_at, pause = monotonic(), 0.05

    async def look() -> Job:
        job = await jobs.get(id)
        if job is None:
            raise NotFound(f"there is no job {id}")
        saw(job)
        return job

    async def report() -> None:
        await look()

    while True:
        job = await look()
        if job.state is not JobState.RUNNING or interrupted.is_set():
            return job
        if job.leased or job.held_back:
            leased_at = monotonic()
        elif monotonic() - leased_at >= patience:
            holder = holder_name(backend)
            if (taken := await jobs.take(holder, id)) is not None:
                runner = JobRunner(backend, taken, holder, progress=report, connection=connection)
                await _run_here(backend, taken, holder, runner, interrupted)
                if interrupted.is_set():
                    change = JobChange(JobState.PAUSED, str(actor), INTERRUPTED)
                    await jobs.change(id, change)
                continue
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await interrupted.wait()
        pause = min(LOOK, pause * 2)


async def _run_here(
    backend: Backend, job: Job, holder: str, runner: JobRunner, interrupted: asyncio.Event
) -> None:
    """Run a job to its end; an error of RabbitMQ stops it, for nobody would go on with it."""

    async def halt() -> None:
        await interrupted.wait()
        runner.halt()

    halting = asyncio.create_task(halt())
    try:
        await runner.run()
    except LedgerUnavailable:
        raise
    except TidingsError as error:
        await backend.ledger.jobs.end(job.id, holder, JobState.STOPPED, str(error))
    finally:
        await end(halting)
