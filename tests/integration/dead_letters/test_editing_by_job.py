"""Jobs that edit dead letters alike: exactly those that were seen, each once or not at all, whoever is killed at it."""

import asyncio
import json
import signal
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.integration.dead_letters.conftest import Tidings
from tests.integration.dead_letters.test_jobs import (
    JANE,
    loses_its_first_reply,
    reaches,
    results,
)
from tests.support import forked
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written
from tests.support.worker_rig import eventually

from tidings.delivery.errors import InvalidRequest, Rejected
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.operations.dead_letters.field_changes import EditTrial, FieldChange
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control, previews
from tidings.operations.jobs.control import JobEdit
from tidings.operations.jobs.previews import JobPreview, PreviewRequest
from tidings.operations.jobs.runner import JobRunner
from tidings.operations.notifications import Filters

WAITS = """
SELECT FROM pg_stat_activity
 WHERE wait_event_type = 'Lock' AND query LIKE '%FROM dead_letters WHERE id = ANY%' AND datname = current_database()
"""
GERMAN = FieldChange(("locale=de",))


async def looked_at(
    rig: DeadLetterRig,
    change: FieldChange = GERMAN,
    *,
    replay: bool = False,
    plan: Plan | None = None,
) -> JobPreview:
    request = PreviewRequest(
        JobKind.EDIT,
        DeadLetterQuery(),
        Filters(),
        every=True,
        note="wrong language",
        plan=plan or Plan(watch=0),
        edit=JobEdit(change, replay),
    )
    async with rig.backend() as backend:
        return await previews.preview(backend, JANE, request)


async def begun(rig: DeadLetterRig, preview: JobPreview) -> IdPrefix:
    async with rig.backend() as backend:
        await control.start(backend, JANE, preview.job.id)
    return IdPrefix.parse(str(preview.job.id))


async def replaced(rig: DeadLetterRig) -> dict[UUID, dict[str, object]]:
    """The dead letters that stand in the place of others, by these."""
    rows = await rig.fetch("SELECT * FROM dead_letters WHERE supersedes IS NOT NULL")
    found = {UUID(str(row["supersedes"])): row for row in rows}
    assert len(found) == len(rows), "one was edited twice"
    return found


async def test_exactly_what_was_seen_is_edited_and_each_has_its_result(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    cancelled = uuid4()
    bodies = [written(), written(locale="de"), written(cancelled), written(), written(), written()]
    well, same, moved, theirs, gone, heavy = await rig.archived(*bodies)
    preview = await looked_at(rig)
    shown = await tidings("jobs", "preview", str(preview.job.id))
    assert "locale becomes de" in shown.out
    assert '+  "locale": "de"' in shown.out
    assert "It is so already." in shown.out
    assert (preview.job.items, preview.job.edit) == (6, {"set": {"locale": "de"}, "unset": []})
    assert preview.edits[well].changes == ('+  "locale": "de"',)
    assert preview.edits[same].changes is None
    async with rig.archiving():
        await rig.make_dead_letter()
        await rig.dead_letters(7)
    await rig.fetch("UPDATE notifications SET state = 'cancelled' WHERE id = $1", cancelled)
    change = "UPDATE dead_letters SET state = 'discarded', actor = 'console joe' WHERE id = $1"
    await rig.fetch(change, theirs)
    await rig.fetch("DELETE FROM dead_letters WHERE id = $1", gone)
    await rig.fetch("UPDATE dead_letters SET body = '[]' WHERE id = $1", heavy)
    async with rig.hosting(seen=False):
        id = await begun(rig, preview)
        await reaches(rig, id, JobState.FINISHED)
    found, new = await results(rig, id), await replaced(rig)
    assert [found[it][0] for it in (well, same, moved, theirs, gone, heavy)] == [
        *("edited", "unchanged", "moved_on", "not_open", "no_such_dead_letter", "malformed")
    ]
    assert found[theirs][1] == "it is discarded, by console joe"
    assert found[heavy][1] == "its body is no JSON object"
    assert set(new) == {well}
    assert json.loads(str(new[well]["body"], "utf-8"))["locale"] == "de"  # type: ignore[call-overload]
    assert (new[well]["state"], new[well]["note"], new[well]["noted_by"]) == (
        *("open", "wrong language"),
        str(JANE),
    )
    (noted,) = await rig.fetch("SELECT reason, actor FROM transitions WHERE reason LIKE '%edited%'")
    assert noted == {
        "reason": f"dead letter {well} edited: locale: wrong language",
        "actor": str(JANE),
    }
    (job,) = await rig.fetch("SELECT change, edit FROM jobs")
    assert (job["change"], json.loads(str(job["edit"]))["set"]) == (None, {"locale": "de"})
    (audit,) = await rig.fetch("SELECT note FROM operator_actions WHERE action = 'job running'")
    assert audit["note"] == "wrong language"


async def test_how_many_would_be_invalid_is_seen_before_and_no_result_quotes_a_person(
    rig: DeadLetterRig, tidings: Tidings, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, entity = {"user_id": "ada-" * 100}, {"entity": "ada@example.com"}
    bodies = [json.loads(written()) for _ in range(3)]
    letters = await rig.archived(*(json.dumps(body).encode() for body in bodies))
    for id_, body, more in zip(letters, bodies, ({}, long, entity), strict=True):
        changed = json.dumps({**body, **more}).encode()
        await rig.fetch("UPDATE dead_letters SET body = $2 WHERE id = $1", id_, changed)
    preview = await looked_at(rig, FieldChange(("entity.type=order", "entity.id=ada-7")))
    assert preview.trial == EditTrial(3, 3, 2)
    assert preview.as_data()["edit_trial"] == {
        "first_count": 3,
        "looked_at_count": 3,
        "invalid_count": 2,
    }
    shown = await tidings("jobs", "preview", str(preview.job.id))
    assert "Of all 3 that were looked at, 2 would be invalid and are left as they are." in shown.out
    monkeypatch.setattr(previews, "TRIED", 1)
    async with rig.backend() as backend:
        seen = await previews.show(backend, JANE, IdPrefix.parse(str(preview.job.id)))
    assert seen.trial == EditTrial(1, 1, 0)
    monkeypatch.undo()
    monkeypatch.setattr(previews, "LONGEST_TRIED", 1)
    async with rig.backend() as backend:
        seen = await previews.show(backend, JANE, IdPrefix.parse(str(preview.job.id)))
    assert seen.trial == EditTrial(3, 0, 0)
    async with rig.hosting(seen=False):
        id = await begun(rig, preview)
        await reaches(rig, id, JobState.FINISHED)
    found = await results(rig, id)
    assert [found[it][0] for it in letters] == ["edited", "malformed", "malformed"]
    assert found[letters[1]][1].startswith("user_id: ")
    assert found[letters[2]][1] == "entity.type: entity is no object"
    kept = await rig.fetch("SELECT detail FROM job_items WHERE detail LIKE '%ada%'")
    assert kept == []


async def test_an_edit_whose_scheduler_is_killed_is_continued_and_nothing_is_edited_or_sent_twice(
    rig: DeadLetterRig,
) -> None:
    dead_letters = await rig.archived(*(written() for _ in range(60)))
    preview = await looked_at(rig, replay=True, plan=Plan(rate=60, watch=30))
    id, channel = await begun(rig, preview), ScriptedChannel()
    async with rig.working(channel):
        async with forked.begun("scheduler", env=environment_of(rig)) as scheduler:
            await eventually(lambda: channel.sent, within=30)
            scheduler.signal(signal.SIGKILL)
            await scheduler.ended()
        assert 0 < len(channel.sent) < 60
        await rig.fetch("UPDATE jobs SET lease_until = now()")  # seconds later
        await rig.fetch(
            "UPDATE notifications SET dispatch_at = now() WHERE dispatch_at IS NOT NULL"
        )
        async with rig.scheduling(), rig.hosting(), rig.hosting():
            await reaches(rig, id, JobState.FINISHED, within=40)
    assert set(channel.sent.values()) == {1}
    assert len(channel.sent) == 60
    assert {request.notification.locale for request in channel.requests} == {"de"}
    assert set(await replaced(rig)) == set(dead_letters)
    async with rig.backend() as backend:
        job = await control.show(backend, id)
    assert (job.results, job.outcomes.delivered) == ({"replayed": 60}, 60)


async def test_an_edit_whose_reply_was_lost_is_not_done_again(
    rig: DeadLetterRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_letters = await rig.archived(written(), written())
    preview = await looked_at(rig, FieldChange(("metadata.note=x",)))
    await begun(rig, preview)
    async with rig.backend() as backend:
        lost = loses_its_first_reply(monkeypatch, backend.ledger.job_actions, "edit")
        job = await backend.ledger.jobs.take("first", preview.job.id)
        assert job is not None
        await JobRunner(backend, job, "first").run()
        assert lost.is_set()
        done = await backend.ledger.jobs.get(job.id)
    assert done is not None
    assert (done.state, done.results) == (JobState.FINISHED, {"edited": 2})
    assert set(await replaced(rig)) == set(dead_letters)


async def test_two_processes_with_the_same_edit_do_each_item_once(rig: DeadLetterRig) -> None:
    dead_letters = await rig.archived(*(written() for _ in range(60)))
    preview = await looked_at(rig, replay=True, plan=Plan(rate=120, watch=0))
    id = await begun(rig, preview)
    async with rig.hosting(seen=False):
        await eventually(lambda: _any_done(rig))
        await rig.fetch("UPDATE jobs SET lease_until = now() - interval '1 second'")
        async with rig.hosting(seen=False):
            await reaches(rig, id, JobState.FINISHED)
    assert {result for result, _ in (await results(rig, id)).values()} == {"replayed"}
    assert set(await replaced(rig)) == set(dead_letters)
    (row,) = await rig.fetch("SELECT max(epoch) AS epoch, count(*) AS n FROM notifications")
    assert (row["epoch"], row["n"]) == (1, 60)


async def _any_done(rig: DeadLetterRig) -> bool:
    return bool(await rig.fetch("SELECT FROM job_items WHERE result IS NOT NULL"))


async def test_a_wave_that_fails_again_leaves_the_rest_as_it_was(rig: DeadLetterRig) -> None:
    await rig.archived(*(written() for _ in range(8)), written(locale="de"))
    preview = await looked_at(rig, replay=True, plan=Plan(canary=(2,), stop_at=0.2, watch=15))
    channel = ScriptedChannel(script=lambda *_: Rejected("still no"))
    async with rig.working(channel), rig.hosting():
        id = await begun(rig, preview)
        await reaches(rig, id, JobState.STOPPED)
    async with rig.backend() as backend:
        job = await control.show(backend, id)
        assert job.reason == "2 of 2 failed again (100%; the limit is 20%)"
        assert (job.done, job.outcomes.failed) == (2, 2)
        page = await control.items(backend, control.JobItemsRequest(id, 10))
        await control.cancel(backend, JANE, id, note="wrong idea")
    new = await replaced(rig)
    assert len(new) == 2
    for item in page.data[:2]:
        assert item.superseded_by_id == new[item.item_id]["id"]
    assert [item.superseded_by_id for item in page.data[2:]] == [None] * 7
    (row,) = await rig.fetch("SELECT change FROM jobs")
    assert row["change"] is None


async def test_what_may_have_been_delivered_is_not_sent_by_an_edit_and_what_would_expire_is_edited(
    rig: DeadLetterRig,
) -> None:
    unknown, late = await rig.archived(written(), written(expires_at="2026-01-01T00:00:00Z"))
    await rig.fetch("UPDATE dead_letters SET reason = 'outcome_unknown' WHERE id = $1", unknown)
    assert (await looked_at(rig)).job.items == 2
    preview = await looked_at(rig, FieldChange(unset=("expires_at",)), replay=True)
    assert (preview.job.items, preview.job.skipped_outcome_unknown) == (1, 1)
    still = await looked_at(rig, replay=True)
    async with rig.hosting(seen=False):
        id = await begun(rig, still)
        await reaches(rig, id, JobState.FINISHED)
    (result, detail) = (await results(rig, id))[late]
    assert result == "edited"
    assert str(detail).startswith("edited, but not replayed: ")
    again = await looked_at(rig, FieldChange(unset=("expires_at",)), replay=True)
    async with rig.hosting(seen=False):
        id = await begun(rig, again)
        await reaches(rig, id, JobState.FINISHED)
    assert [result for result, _ in (await results(rig, id)).values()] == ["replayed"]


async def test_an_edit_that_can_be_of_no_notification_or_has_no_reason_is_refused(
    rig: DeadLetterRig,
) -> None:
    async with rig.backend() as backend:
        for wrong, words in (
            ({"edit": None}, "say what is to be changed"),
            ({"edit": JobEdit(FieldChange(("priority=huge",)))}, "priority"),
            ({"note": " "}, "give a reason"),
            ({"plan": Plan(force=True)}, "can't be forced"),
            ({"kind": JobKind.REPLAY}, "only the kind edit"),
            ({"every": False}, "give ids, a filter"),
        ):
            fields = {"kind": JobKind.EDIT, "edit": JobEdit(GERMAN), "note": "x", "every": True}
            request = PreviewRequest(
                **{"query": DeadLetterQuery(), "notifications": Filters(), **fields, **wrong}  # type: ignore[arg-type]
            )
            with pytest.raises(InvalidRequest, match=words):
                await previews.preview(backend, JANE, request)
    assert await rig.fetch("SELECT FROM jobs") == []


async def test_a_person_who_edits_at_the_same_time_is_not_overwritten(rig: DeadLetterRig) -> None:
    """Whoever locks the dead letter first has it; the other is told."""
    (dead_letter,) = await rig.archived(written())
    preview = await looked_at(rig)
    id = await begun(rig, preview)
    theirs = FieldChange(("locale=fr",))
    async with rig.backend("other") as other, asyncio.TaskGroup() as tasks:

        async def host() -> None:
            async with rig.hosting(seen=False):
                await reaches(rig, id, JobState.FINISHED)

        database, editing = other.ledger.database, other.ledger.dead_letters.editing
        async with database.transaction() as connection:
            await editing.edit_in(
                *(connection, [dead_letter], theirs), expires_at=lambda _: None, actor="joe"
            )
            hosting = tasks.create_task(host())
            await eventually(lambda: rig.fetch(WAITS))
            assert not hosting.done()
    assert (await results(rig, id))[dead_letter] == ("not_open", "it is superseded, by joe")
    new = await replaced(rig)
    assert json.loads(str(new[dead_letter]["body"], "utf-8"))["locale"] == "fr"  # type: ignore[call-overload]
