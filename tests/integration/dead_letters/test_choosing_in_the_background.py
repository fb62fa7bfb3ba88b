"""The items of a job are chosen at one moment, while nobody waits for it; whoever is killed at it leaves nothing half-chosen."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from tests.integration.dead_letters.conftest import Tidings
from tests.integration.dead_letters.test_jobs import JANE, OPEN, reaches, results
from tests.support.dead_letter_rig import DeadLetterRig, written
from tests.support.worker_rig import eventually

from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.jobs.rows import Job
from tidings.operations.backend import Backend
from tidings.operations.jobs import control, previews

AT_ONCE = 0.0


def of(job: Job) -> IdPrefix:
    return IdPrefix.parse(str(job.id))


@asynccontextmanager
async def held_up(rig: DeadLetterRig) -> AsyncIterator[None]:
    """No items can be stored meanwhile."""
    async with (
        rig.ledger("other") as other,
        other.database.transaction() as connection,
    ):
        await connection.execute("LOCK TABLE job_items IN EXCLUSIVE MODE")
        yield


async def begun(rig: DeadLetterRig, backend: Backend) -> Job:
    """A job whose items are being chosen, by a transaction that has begun."""
    job = await control.look(
        backend, JANE, JobKind.DISCARD, OPEN, note="test data", patience=AT_ONCE
    )

    async def waits() -> bool:
        blocked = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'job_items'::regclass"
        return bool(await rig.fetch(blocked))

    await eventually(waits)
    return job


async def test_a_preview_answers_while_its_items_are_chosen_and_then_has_them(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    before = await rig.archived(written(), written())
    async with rig.backend() as backend:
        async with held_up(rig):
            job = await begun(rig, backend)
            shown = await previews.show(backend, JANE, of(job))
            assert (shown.job.state, shown.sample) == (JobState.CHOOSING, ())
            assert shown.as_data()["item_count"] is None
            with pytest.raises(Refused, match="still being chosen"):
                await control.start(backend, JANE, job.id)
            async with rig.archiving():
                await rig.make_dead_letter()
                await rig.dead_letters(3)
        await reaches(rig, of(job), JobState.PREVIEW)
        shown = await previews.show(backend, JANE, of(job))
        assert {dead_letter.id for dead_letter in shown.sample} == set(before)
        assert shown.as_data()["item_count"] == 2
        printed = json.loads((await tidings("jobs", "preview", str(job.id), "--json")).out)
    assert (printed["item_count"], len(printed["sample"])) == (2, 2)
    assert set(await results(rig, of(job))) == set(before)


async def test_what_a_killed_process_was_choosing_a_scheduler_chooses(rig: DeadLetterRig) -> None:
    await rig.archived(written(), written())
    async with held_up(rig), rig.backend() as backend:
        job = await begun(rig, backend)
        await backend.close()  # as its process ends
    assert await rig.fetch("SELECT FROM job_items") == []
    assert await rig.fetch("SELECT state FROM jobs") == [{"state": "choosing"}]
    await rig.fetch("UPDATE jobs SET changed_at = now() - interval '1 minute'")
    async with rig.hosting(seen=False):
        await reaches(rig, of(job), JobState.PREVIEW)
    assert await rig.fetch("SELECT items, wanted, reason FROM jobs") == [
        {"items": 2, "wanted": None, "reason": ""}
    ]


async def test_a_job_that_is_cancelled_while_its_items_are_chosen_gets_none(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(written())
    async with rig.backend() as backend:
        async with held_up(rig):
            job = await begun(rig, backend)
            cancelled = await control.cancel(backend, JANE, of(job), note="wrong group")
            assert cancelled.state is JobState.CANCELLED
        await eventually(lambda: not backend.choosing)
    assert await rig.fetch("SELECT FROM job_items") == []
    assert await rig.fetch("SELECT state, wanted FROM jobs") == [
        {"state": "cancelled", "wanted": None}
    ]


async def test_of_two_processes_that_choose_for_the_same_job_one_does(rig: DeadLetterRig) -> None:
    await rig.archived(written(), written())
    async with rig.backend() as backend, rig.backend("other") as other:
        async with held_up(rig):
            job = await begun(rig, backend)
            assert await other.ledger.snapshots.choose(job.id) is None
        await reaches(rig, of(job), JobState.PREVIEW)
        assert await other.ledger.snapshots.choose(job.id) is None
    assert len(await results(rig, of(job))) == 2


async def test_a_choice_that_fails_says_why_and_is_tried_again_later(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    async with rig.backend() as backend:
        await rig.fetch("ALTER TABLE job_items RENAME TO job_items_away")
        job = await control.look(
            backend, JANE, JobKind.REPLAY, OPEN, plan=Plan(watch=0), patience=30
        )
        assert (job.state, job.reason.startswith("items not chosen yet: ")) == (
            *(JobState.CHOOSING, True),
        )
        await rig.fetch("ALTER TABLE job_items_away RENAME TO job_items")
        assert await backend.ledger.snapshots.left(0) is None
        await rig.fetch("UPDATE jobs SET lease_until = now(), changed_at = now() - interval '1m'")
        async with rig.hosting(seen=False):
            await reaches(rig, of(job), JobState.PREVIEW)


async def test_every_filter_is_the_same_when_another_process_reads_it(rig: DeadLetterRig) -> None:
    first, second = await rig.archived(
        written(recipient="ada@example.com"), written(recipient="x@example.com")
    )
    wanted = DeadLetterFilter(
        ids=(first, second, uuid4()),
        channel="email",
        recipient="ada@example.com",
        id_prefix=IdPrefix.parse(str(first)[-12:]),
        states=OPEN.states,
        test=False,
    )
    async with rig.backend() as backend:
        job = await control.look(backend, JANE, JobKind.REPLAY, wanted, plan=Plan(watch=0))
    assert set(await results(rig, of(job))) == {first}
