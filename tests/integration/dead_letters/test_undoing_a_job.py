"""A job that is to begin in some seconds does nothing before, and cancelled until then it leaves everything as it was."""

import json

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.integration.dead_letters.test_jobs import JANE, OPEN, looked_at, reaches, results
from tests.support.dead_letter_rig import DeadLetterRig, written

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.operations.jobs import control


async def test_nothing_is_done_before_a_job_begins_and_all_of_it_then(rig: DeadLetterRig) -> None:
    await rig.archived(written(), written())
    job = await looked_at(rig, JobKind.DISCARD, note="test data")
    id = IdPrefix.parse(str(job.id))
    async with rig.backend() as backend, rig.hosting():
        started = await control.start(backend, JANE, job.id, starts_in=300)
        assert started.started_at is not None
        assert started.starts_at is not None
        assert (started.starts_at - started.started_at).total_seconds() == 300
        assert await backend.ledger.jobs.take("eager", job.id) is None
        await rig.fetch("UPDATE jobs SET starts_at = now()")  # five minutes later
        await reaches(rig, id, JobState.FINISHED)
    assert set((await results(rig, id)).values()) == {("discarded", None)}


async def test_a_job_that_is_cancelled_before_it_begins_leaves_all_as_it_was_and_says_so(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(written(), written())
    job = await looked_at(rig, plan=Plan(watch=0))
    channel = ScriptedChannel()
    async with rig.working(channel), rig.hosting():
        started = await tidings("jobs", "start", str(job.id), "--starts-in", "5m", "-d", "--json")
        assert json.loads(started.out)["starts_at"] is not None
        cancelled = await tidings("jobs", "cancel", str(job.id), "--note", "wrong group", "--json")
        again = await tidings("jobs", "start", str(job.id), "--detach")
    done = json.loads(cancelled.out)
    assert (done["state"], done["done_count"]) == ("cancelled", 0)
    assert done["reason"] == "before it began, nothing was done: wrong group"
    assert (again.code, "is cancelled" in again.err) == (1, True)
    assert channel.sent == {}
    rows = await rig.fetch("SELECT DISTINCT state, replay FROM dead_letters")
    assert rows == [{"state": "open", "replay": None}]
    (noted,) = await rig.fetch("SELECT note FROM operator_actions WHERE action = 'job cancelled'")
    assert noted["note"] == done["reason"]


async def test_a_job_that_has_begun_is_not_said_to_have_done_nothing(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    job = await looked_at(rig, plan=Plan(watch=0))
    async with rig.backend() as backend:
        await control.start(backend, JANE, job.id)
        assert await backend.ledger.jobs.take("first", job.id) is not None
        cancelled = await control.cancel(backend, JANE, IdPrefix.parse(str(job.id)))
    assert cancelled.reason is None


@pytest.mark.parametrize("seconds", [-1, 301, float("nan")])
async def test_the_start_of_a_job_is_delayed_by_five_minutes_at_most(
    rig: DeadLetterRig, seconds: float
) -> None:
    async with rig.backend() as backend:
        job = await control.look(backend, JANE, JobKind.REPLAY, OPEN)
        with pytest.raises(InvalidRequest, match="0 to 300 seconds"):
            await control.start(backend, JANE, job.id, starts_in=seconds)
