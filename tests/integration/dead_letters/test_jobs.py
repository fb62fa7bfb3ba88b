"""Jobs: chosen once, run by whichever process there is, killed and continued, and each item has its result."""

import asyncio
import json
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import MakeRig, Tidings
from tests.support import forked
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written
from tests.support.worker_rig import eventually

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, LedgerUnavailable, Refused, Rejected
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.delivery.states import State
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.jobs.rows import Job
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.operators.processes import Process
from tidings.operations import dispatching
from tidings.operations.actor import Actor
from tidings.operations.dead_letters import replays
from tidings.operations.dispatching import DispatchingRequest
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobItemsRequest, JobListRequest
from tidings.templates import Templates

OPEN = DeadLetterFilter(states=(DeadLetterState.OPEN,))
JANE = Actor("cli", "jane@desk")
WAITING = "SELECT count(*) AS n FROM job_items WHERE result IS NULL"


async def looked_at(
    rig: DeadLetterRig,
    kind: JobKind = JobKind.REPLAY,
    wanted: DeadLetterFilter = OPEN,
    plan: Plan | None = None,
    note: str = "",
) -> Job:
    async with rig.backend() as backend:
        return await control.look(backend, JANE, kind, wanted, plan=plan, note=note)


async def started(rig: DeadLetterRig, job: Job) -> IdPrefix:
    async with rig.backend() as backend:
        await control.start(backend, JANE, job.id)
    return IdPrefix.parse(str(job.id))


async def reaches(rig: DeadLetterRig, id: IdPrefix, state: JobState, within: float = 20) -> None:
    async with rig.backend() as backend:

        async def reached() -> bool:
            return (await control.show(backend, id)).state is state

        await eventually(reached, within)


async def results(rig: DeadLetterRig, id: IdPrefix) -> dict[UUID, tuple[str | None, str | None]]:
    async with rig.backend() as backend:
        page = await control.items(backend, JobItemsRequest(id, 1_000))
    return {item.item_id: (item.result, item.detail) for item in page.data}


async def test_what_arrives_after_the_look_is_not_included(rig: DeadLetterRig) -> None:
    before = await rig.archived(written(), written(), written())
    job = await looked_at(rig, plan=Plan(watch=0))
    async with rig.archiving():
        await rig.make_dead_letter()
        await rig.make_dead_letter()
        await rig.dead_letters(5)
    assert job.items == 3
    async with rig.hosting(seen=False):
        id = await started(rig, job)
        await reaches(rig, id, JobState.FINISHED)
    assert set(await results(rig, id)) == set(before)
    (row,) = await rig.fetch("SELECT count(*) AS n FROM dead_letters WHERE state = 'open'")
    assert row["n"] == 2


async def test_a_job_whose_scheduler_is_killed_is_continued_and_nothing_is_sent_twice(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(*(written() for _ in range(120)))
    id = await started(rig, await looked_at(rig, plan=Plan(rate=60, watch=30)))
    channel = ScriptedChannel()
    async with rig.working(channel):
        async with forked.begun("scheduler", env=environment_of(rig)) as scheduler:
            await eventually(lambda: channel.sent, within=30)
            scheduler.signal(signal.SIGKILL)
            await scheduler.ended()
        assert 0 < len(channel.sent) < 120
        await rig.fetch("UPDATE jobs SET lease_until = now()")  # seconds later
        await rig.fetch(
            "UPDATE notifications SET dispatch_at = now() WHERE dispatch_at IS NOT NULL"
        )
        async with rig.scheduling(), rig.hosting(), rig.hosting():
            await reaches(rig, id, JobState.FINISHED, within=40)
    assert set(channel.sent.values()) == {1}
    assert len(channel.sent) == 120
    async with rig.backend() as backend:
        job = await control.show(backend, id)
    assert (job.results, job.outcomes.delivered) == ({"replayed": 120}, 120)


async def test_a_replay_whose_reply_was_lost_is_watched_to_its_end(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (dead_letter,) = await rig.archived(written())
    job = await looked_at(rig, plan=Plan(watch=15))
    async with rig.working(ScriptedChannel()), rig.scheduling(), rig.backend() as backend:
        actions, jobs = backend.ledger.job_actions, backend.ledger.jobs
        taken = loses_its_first_reply(monkeypatch, actions, "replay")
        kept = loses_its_first_reply(monkeypatch, jobs, "keep")
        ended = loses_its_first_reply(monkeypatch, jobs, "end")
        async with asyncio.TaskGroup() as group:
            replaying = group.create_task(replays.replay(backend, JANE, job.id))
            await eventually(taken.is_set)
            await rig.fetch("UPDATE notifications SET dispatch_at = now()")  # seconds later
        summary = replaying.result().summary
    assert taken.is_set()
    assert kept.is_set()
    assert ended.is_set()
    assert (summary.state, summary.replayed) == (JobState.FINISHED, 1)
    assert summary.outcomes.delivered == 1
    (row,) = await rig.fetch("SELECT state FROM dead_letters WHERE id = $1", dead_letter)
    assert row["state"] == "replayed"


def loses_its_first_reply(monkeypatch: pytest.MonkeyPatch, of: object, name: str) -> asyncio.Event:
    """Have a method of a ledger do its work once and say that PostgreSQL is unavailable; is set when it has."""
    sound, lost = getattr(of, name), asyncio.Event()

    async def do(*args: object, **named: object) -> object:
        done = await sound(*args, **named)
        if lost.is_set():
            return done
        lost.set()
        raise LedgerUnavailable("the reply was lost")

    monkeypatch.setattr(of, name, do)
    return lost


async def test_two_processes_with_the_same_job_do_each_item_once(rig: DeadLetterRig) -> None:
    """The lease of the first was over while it was still at work."""
    await rig.archived(*(written() for _ in range(60)))
    id = await started(rig, await looked_at(rig, plan=Plan(rate=120, watch=0)))
    async with rig.hosting(seen=False):
        await eventually(lambda: _any_done(rig))
        await rig.fetch("UPDATE jobs SET lease_until = now() - interval '1 second'")
        async with rig.hosting(seen=False):
            await reaches(rig, id, JobState.FINISHED)
    assert {result for result, _ in (await results(rig, id)).values()} == {"replayed"}
    (row,) = await rig.fetch("SELECT max(epoch) AS epoch, count(*) AS n FROM notifications")
    assert (row["epoch"], row["n"]) == (1, 60)


async def _any_done(rig: DeadLetterRig) -> bool:
    return bool(await rig.fetch("SELECT FROM job_items WHERE result IS NOT NULL"))


async def test_a_paused_job_waits_and_is_resumed_where_it_was(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(40)))
    id = await started(rig, await looked_at(rig, plan=Plan(rate=20, watch=0)))
    async with rig.hosting(), rig.backend() as backend:
        await eventually(lambda: _any_done(rig))
        paused = await control.pause(backend, JANE, id, note="lunch")
        assert (paused.state, paused.reason) == (JobState.PAUSED, "lunch")
        await eventually(lambda: _released(rig))
        (before,) = await rig.fetch(WAITING)
        assert 0 < int(str(before["n"])) < 40
        assert (await control.show(backend, id)).done == 40 - int(str(before["n"]))
        with pytest.raises(Refused, match="paused"):
            await control.pause(backend, JANE, id)
        await control.resume(backend, JANE, id)
        await reaches(rig, id, JobState.FINISHED)
    assert {result for result, _ in (await results(rig, id)).values()} == {"replayed"}


async def test_a_replay_waits_while_dispatching_is_paused(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(4)))
    async with rig.backend() as backend:
        await dispatching.pause(backend, JANE, DispatchingRequest("wrong template"))
    id = await started(rig, await looked_at(rig, plan=Plan(watch=0)))
    async with rig.hosting(), rig.backend() as backend:
        await eventually(lambda: _kept_for_a_while(rig))
        assert (await control.show(backend, id)).state is JobState.RUNNING
        assert await rig.fetch(WAITING) == [{"n": 4}]
        await dispatching.resume(backend, JANE, DispatchingRequest())
        await reaches(rig, id, JobState.FINISHED)
    assert {result for result, _ in (await results(rig, id)).values()} == {"replayed"}


async def _kept_for_a_while(rig: DeadLetterRig) -> bool:
    """Whether its lease was renewed, two seconds after it was taken."""
    return bool(await rig.fetch("SELECT FROM jobs WHERE lease_until > started_at + interval '7 s'"))


async def _released(rig: DeadLetterRig) -> bool:
    return bool(await rig.fetch("SELECT FROM jobs WHERE lease_until <= now() AND results <> '{}'"))


async def test_a_cancelled_job_leaves_the_rest_as_it_is(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(40)))
    id = await started(rig, await looked_at(rig, plan=Plan(rate=20, watch=0)))
    async with rig.hosting(), rig.backend() as backend:
        await eventually(lambda: _any_done(rig))
        await control.cancel(backend, JANE, id, note="wrong group")
        await eventually(lambda: _released(rig))
        with pytest.raises(Refused, match="cancelled"):
            await control.resume(backend, JANE, id)
    rows = await rig.fetch("SELECT state, count(*) AS n FROM dead_letters GROUP BY state")
    states = {row["state"]: row["n"] for row in rows}
    assert states["open"] == (await rig.fetch(WAITING))[0]["n"]
    (noted,) = await rig.fetch("SELECT * FROM operator_actions WHERE action = 'job cancelled'")
    assert (noted["actor"], noted["note"]) == (str(JANE), "wrong group")


async def test_a_job_that_stopped_goes_on_with_the_rest_when_it_is_resumed(
    rig: DeadLetterRig,
) -> None:
    await rig.archived(*(written() for _ in range(12)))
    channel = ScriptedChannel(
        script=lambda *_: Rejected("still no") if len(channel.requests) <= 2 else None
    )
    plan = Plan(canary=(2,), stop_at=0.2, watch=15)
    async with rig.working(channel), rig.hosting(), rig.backend() as backend:
        id = await started(rig, await looked_at(rig, plan=plan))
        await reaches(rig, id, JobState.STOPPED)
        stopped = await control.show(backend, id)
        assert stopped.reason == "2 of 2 failed again (100%; the limit is 20%)"
        assert (stopped.done, [wave.failed for wave in stopped.waves]) == (2, [2])
        await control.resume(backend, JANE, id)
        await reaches(rig, id, JobState.FINISHED)
        done = await control.show(backend, id)
    assert (done.done, done.outcomes.delivered, done.outcomes.failed) == (12, 10, 2)


async def test_what_changed_since_the_look_is_left_alone_and_says_so(rig: DeadLetterRig) -> None:
    cancelled, suppressed, expired, edited, gone, well = (uuid4() for _ in range(6))
    bodies = [written(id) for id in (cancelled, suppressed, expired, edited, gone, well)]
    soon = datetime.now(UTC) + timedelta(hours=1)
    bodies[2] = written(expired, expires_at=soon.isoformat())
    dead_letters = await rig.archived(*bodies)
    job = await looked_at(rig, plan=Plan(watch=0))
    assert job.items == 6
    for id, state in ((cancelled, "cancelled"), (suppressed, "suppressed")):
        await rig.fetch("UPDATE notifications SET state = $1 WHERE id = $2", state, id)
    past = written(expired, expires_at=(soon - timedelta(days=1)).isoformat())
    for table in ("dead_letters", "notifications"):
        column = "notification_id" if table == "dead_letters" else "id"
        await rig.fetch(f"UPDATE {table} SET body = $1 WHERE {column} = $2", past, expired)  # noqa: S608  # ours
    await rig.fetch("UPDATE dead_letters SET state = 'superseded' WHERE id = $1", dead_letters[3])
    await rig.fetch("DELETE FROM dead_letters WHERE id = $1", dead_letters[4])
    async with rig.hosting():
        id = await started(rig, job)
        await reaches(rig, id, JobState.FINISHED)
    found = await results(rig, id)
    assert [found[dead_letter][0] for dead_letter in dead_letters] == [
        *("ended", "ended", "expired", "superseded", "no_such_dead_letter", "replayed")
    ]
    assert found[dead_letters[0]][1] == "its notification is cancelled"
    assert found[dead_letters[1]][1] == "its notification is suppressed"
    assert "would again" in str(found[dead_letters[2]][1])


async def test_dead_letters_are_discarded_by_a_job_each_with_its_result(rig: DeadLetterRig) -> None:
    dead_letters = await rig.archived(written(), written(), written())
    job = await looked_at(rig, JobKind.DISCARD, note="test data")
    await rig.fetch("UPDATE dead_letters SET state = 'replaying' WHERE id = $1", dead_letters[1])
    async with rig.hosting():
        id = await started(rig, job)
        await reaches(rig, id, JobState.FINISHED)
    found = await results(rig, id)
    assert [found[dead_letter] for dead_letter in dead_letters] == [
        ("discarded", None),
        ("not_open", "it is replaying"),
        ("discarded", None),
    ]
    rows = await rig.fetch("SELECT note, actor FROM dead_letters WHERE state = 'discarded'")
    assert {(row["note"], row["actor"]) for row in rows} == {("test data", str(JANE))}


async def test_notifications_are_cancelled_by_a_job_each_with_its_result(
    rig: DeadLetterRig,
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with rig.working(ScriptedChannel()):
        ids = [await rig.publish(scheduled_at=soon, category="receipt") for _ in range(3)]
        other = await rig.publish(scheduled_at=soon)
        for id in (*ids, other):
            await rig.reaches(id, "scheduled")
    async with rig.backend() as backend:
        wanted, sent = Filters(categories=("receipt",)), Filters(states=(State.SENT,))
        with pytest.raises(InvalidRequest, match="sent notifications can't be cancelled"):
            await control.look_at_notifications(backend, JANE, sent, note="x")
        job = await control.look_at_notifications(backend, JANE, wanted, note="wrong offer")
    assert job.items == 3
    await rig.fetch("UPDATE notifications SET state = 'sent' WHERE id = $1", ids[0])
    async with rig.hosting():
        id = await started(rig, job)
        await reaches(rig, id, JobState.FINISHED)
    found = await results(rig, id)
    assert [found[notification] for notification in ids] == [
        ("not_cancelled", "it has ended as sent"),
        ("cancelled", None),
        ("cancelled", None),
    ]
    assert [await rig.state(notification) for notification in (ids[1], other)] == [
        *("cancelled", "scheduled")
    ]


async def test_a_template_that_the_workers_no_longer_have_is_not_asked_for_again(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    (folder / "welcome" / "default").mkdir(parents=True)
    for part in ("subject", "text"):
        (folder / "welcome" / "default" / f"{part}.j2").write_text("Hello")
    rig = await make_rig(TIDINGS_TEMPLATES_ROOT=str(folder))
    bodies = [written(subject=None, body=None, template=name) for name in ("welcome", "farewell")]
    here, gone = await rig.archived(*(_without_nulls(body) for body in bodies))
    worker = Process("worker", ["worker"], "host", 1, "1", ["email"], "other", None)
    async with rig.ledger() as ledger:
        await ledger.processes.say(worker)
        job = await looked_at(rig, wanted=DeadLetterFilter(ids=(gone,)), plan=Plan(watch=0))
        async with rig.hosting(seen=False):
            unsure = await started(rig, job)
            await reaches(rig, unsure, JobState.FINISHED)
        assert (await results(rig, unsure))[gone][0] == "replayed"  # the worker may have it
        await rig.fetch("UPDATE dead_letters SET state = 'open'")
        await rig.fetch("UPDATE notifications SET state = 'failed', epoch = 0")
        await rig.fetch("DELETE FROM processes")
        await ledger.processes.say(replace(worker, templates=Templates(folder).digest))
        job = await looked_at(rig, plan=Plan(watch=0))
        async with rig.hosting(seen=False):
            sure = await started(rig, job)
            await reaches(rig, sure, JobState.FINISHED)
    found = await results(rig, sure)
    assert (found[here][0], found[gone][0]) == ("replayed", "template_gone")
    assert "farewell" in str(found[gone][1])


def _without_nulls(body: bytes) -> bytes:
    fields = json.loads(body)
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


async def test_a_job_of_another_tenant_does_not_exist(rig: DeadLetterRig) -> None:
    await rig.archived(written(tenant="acme"), written())
    acme = DeadLetterFilter(states=(DeadLetterState.OPEN,), tenant="acme")
    job = await looked_at(rig, wanted=acme)
    assert job.items == 1
    id = await started(rig, job)
    async with rig.backend() as backend:
        assert (await control.show(backend, id, tenant="acme")).items == 1
        for other in ("globex", "default"):
            for ask in (
                control.show(backend, id, tenant=other),
                control.pause(backend, JANE, id, tenant=other),
                control.resume(backend, JANE, id, tenant=other),
                control.cancel(backend, JANE, id, tenant=other),
                control.items(backend, JobItemsRequest(id, 10, tenant=other)),
            ):
                with pytest.raises(Refused, match="there is no job"):
                    await ask
            page = await control.list_(backend, JobListRequest(10, tenant=other))
            assert page.data == ()
        assert (await control.show(backend, id)).state is JobState.RUNNING


async def test_a_replay_is_run_by_the_scheduler_and_goes_on_after_ctrl_c(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(*(written() for _ in range(30)))
    arguments = ("replay", "--all", "--yes", "--rate", "15/s", "--json")
    async with rig.working(ScriptedChannel()), rig.hosting():
        async with forked.begun(*arguments, env=environment_of(rig)) as replay:
            await eventually(lambda: _any_done(rig), within=30)
            replay.signal(signal.SIGINT)
            assert await replay.ended() == 130
            seen = json.loads(replay.out)
        assert (seen["state"], seen["stopped"]) == ("running", "interrupted")
        id = IdPrefix.parse(seen["run"])
        shown = await tidings("jobs", "show", id.text)
        assert "scheduler" in shown.out
        watched = await tidings("jobs", "watch", id.text, "--json")
        assert (watched.code, json.loads(watched.out)["delivered_again"]) == (0, 30)
    (listed,) = json.loads((await tidings("jobs", "list", "--json")).out)["data"]
    assert (listed["state"], listed["item_count"], listed["selection"]) == (
        *("finished", 30),
        {"states": ["open"]},
    )


async def test_a_job_interrupted_without_a_scheduler_is_paused_and_resumed_by_command(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    await rig.archived(*(written() for _ in range(30)))
    arguments = ("replay", "--all", "--yes", "--rate", "15/s")
    async with rig.working(ScriptedChannel()):
        async with forked.begun(*arguments, env=environment_of(rig)) as replay:
            await eventually(lambda: _any_done(rig), within=30)
            replay.signal(signal.SIGINT)
            assert await replay.ended() == 130
            advice = " ".join(replay.err.decode().split())
        (job,) = json.loads((await tidings("jobs", "list", "--json")).out)["data"]
        assert (job["state"], job["reason"]) == ("paused", "interrupted")
        assert f"tidings jobs resume {job['id']}" in advice
        done = await tidings("jobs", "resume", job["id"], "--json")
    assert (done.code, json.loads(done.out)["delivered_again"]) == (0, 30)
    page = json.loads((await tidings("jobs", "items", job["id"], "-n", "20", "--json")).out)
    assert [item["position"] for item in page["data"]] == [*range(1, 21)]
    assert {item["outcome"] for item in page["data"]} == {"sent"}
    rest = await tidings("jobs", "items", job["id"], "--cursor", page["next_cursor"])
    assert len(rest.out.splitlines()) == 11
    written_down = (await tidings("jobs", "items", job["id"], "--csv")).out.splitlines()
    assert [line.split(",")[0] for line in written_down] == ["position", *map(str, range(1, 31))]
    assert {tuple(line.split(",")[3:5]) for line in written_down[1:]} == {("replayed", "sent")}


async def test_jobs_and_previews_are_deleted_when_their_time_is_over(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    for _ in range(2):
        await looked_at(rig)
    async with rig.backend() as backend:
        assert await backend.ledger.jobs.tidy(0, 1) == 0
        await rig.fetch("UPDATE jobs SET seen_at = now() - interval '2 days'")
        while await backend.ledger.jobs.tidy(0, 1):
            pass
    assert await rig.fetch("SELECT FROM jobs") == await rig.fetch("SELECT FROM job_items") == []


async def test_a_preview_that_is_being_deleted_can_t_be_started(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(3)))
    job = await looked_at(rig)
    async with rig.backend() as backend:
        await rig.fetch("UPDATE jobs SET seen_at = now() - interval '2 days'")
        assert await backend.ledger.jobs.tidy(0, 1) == 1
        assert len(await rig.fetch("SELECT FROM job_items")) == 2
        with pytest.raises(Refused, match="cancelled"):
            await control.start(backend, JANE, job.id)
        while await backend.ledger.jobs.tidy(0, 1):
            pass
    assert await rig.fetch("SELECT FROM jobs") == await rig.fetch("SELECT FROM job_items") == []


async def test_a_declined_preview_goes_after_a_day(rig: DeadLetterRig) -> None:
    await rig.archived(written())
    job = await looked_at(rig)
    async with rig.backend() as backend:
        await control.cancel(backend, JANE, IdPrefix.parse(str(job.id)))
        await rig.fetch("UPDATE jobs SET seen_at = now() - interval '2 days'")
        assert await backend.ledger.jobs.tidy(30 * 86_400, 10) == 2
    assert await rig.fetch("SELECT FROM jobs") == []


async def test_two_jobs_with_the_same_dead_letters_share_them(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(30)))
    first, second = await asyncio.gather(looked_at(rig), looked_at(rig))
    async with rig.hosting():
        ids = [await started(rig, job) for job in (first, second)]
        await eventually(lambda: _all_done(rig), within=20)
    counts = [result for id in ids for result, _ in (await results(rig, id)).values()]
    assert counts.count("replayed") == 30
    assert set(counts) <= {"replayed", "being_replayed", "already_replayed"}


async def _all_done(rig: DeadLetterRig) -> bool:
    return (await rig.fetch(WAITING))[0]["n"] == 0
