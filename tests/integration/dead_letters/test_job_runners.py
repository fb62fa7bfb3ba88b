"""A job is counted to its end, and settled only when nothing can change any more, whoever was killed at it."""

import asyncio
from uuid import UUID

import pytest
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.worker_rig import eventually

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.pacing import LOOK
from tidings.operations.jobs import control, hosting
from tidings.operations.jobs.runner import JobRunner

JANE = Actor("cli", "jane@desk")
OPEN = DeadLetterFilter(states=(DeadLetterState.OPEN,))


async def begun(backend: Backend, kind: JobKind = JobKind.REPLAY) -> UUID:
    job = await control.look(backend, JANE, kind, OPEN, plan=Plan(watch=0), note="")
    await control.start(backend, JANE, job.id)
    return job.id


async def runner_of(backend: Backend, id: UUID) -> JobRunner:
    job = await backend.ledger.jobs.take("first", id)
    assert job is not None
    return JobRunner(backend, job, "first")


async def test_what_a_killed_runner_had_done_ahead_is_counted(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(6)))
    async with rig.backend() as backend:
        id = await begun(backend)
        await rig.fetch(
            "UPDATE job_items SET result = 'replayed', outcome = 'sent' WHERE position > 3"
        )
        await (await runner_of(backend, id)).run()
        job = await backend.ledger.jobs.get(id)
        assert job is not None
    assert (job.results, job.outcomes) == ({"replayed": 6}, {"sent": 3, "queued": 3})
    assert await rig.fetch("SELECT state, settled FROM jobs") == [
        {"state": "finished", "settled": False}
    ]


async def test_a_job_that_is_resumed_is_settled_anew(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    async with rig.backend() as backend:
        id = await begun(backend)
        for state, settled in (("stopped", False), ("finished", True)):
            await rig.fetch("UPDATE jobs SET state = $1", state)
            await backend.ledger.jobs.settle(id, {}, {}, final=True)
            assert await rig.fetch("SELECT settled FROM jobs") == [{"settled": settled}]
        await rig.fetch("UPDATE jobs SET state = 'stopped'")
        await control.resume(backend, JANE, IdPrefix.parse(str(id)))
    assert await rig.fetch("SELECT settled FROM jobs") == [{"settled": False}]


async def test_a_runner_waits_for_items_that_another_has(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.archived(written(), written())
    let_go = asyncio.Event()

    async def pause(_: JobRunner, seconds: float) -> None:
        if seconds == LOOK:
            let_go.set()
        await asyncio.sleep(0)

    monkeypatch.setattr(JobRunner, "_pause", pause)
    async with rig.backend("other") as other, rig.backend() as backend:
        id = await begun(backend, JobKind.DISCARD)
        runner = await runner_of(backend, id)
        async with (
            asyncio.TaskGroup() as tasks,
            other.ledger.database.transaction() as connection,
        ):
            await connection.fetch("SELECT FROM job_items FOR UPDATE")
            running = tasks.create_task(runner.run())
            async with asyncio.timeout(5):
                await let_go.wait()
            assert not running.done()
    assert await rig.fetch("SELECT state, results FROM jobs") == [
        {"state": "finished", "results": '{"discarded": 2}'}
    ]


async def test_a_job_does_not_wait_until_what_became_of_others_is_counted(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = asyncio.Event()

    async def count(_: Backend) -> None:
        counting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(hosting, "look_after", count)
    await rig.archived(written())
    async with rig.hosting(seen=False), rig.backend() as backend:
        async with asyncio.timeout(5):
            await counting.wait()
        id = await begun(backend, JobKind.DISCARD)

        async def finished() -> bool:
            job = await backend.ledger.jobs.get(id)
            return job is not None and job.state is JobState.FINISHED

        await eventually(finished)
