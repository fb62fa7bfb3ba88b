"""Jobs that decide about entries of the outbox: exactly those that were seen, and what another decided meanwhile stays."""

import asyncio
import json
from uuid import UUID

import pytest
from tests.integration.dead_letters.test_jobs import loses_its_first_reply
from tests.support import forked
from tests.support.dead_letter_rig import environment_of
from tests.support.submission_rig import SubmissionRig, send
from tests.support.worker_rig import eventually

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind
from tidings.operations import outbox
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobItemsRequest
from tidings.operations.jobs.deciding import OutboxFilter
from tidings.operations.jobs.previews import JobPreview, PreviewRequest, preview
from tidings.operations.jobs.runner import JobRunner
from tidings.operations.notifications import Filters
from tidings.operations.outbox import DecideRequest, EntryStatus, ListOutboxRequest

JANE, JOE = Actor("console", "jane"), Actor("console", "joe")
ALL = OutboxFilter()


async def statuses(backend: Backend) -> dict[UUID, EntryStatus]:
    view = await outbox.list_(backend, ListOutboxRequest())
    return {shown.entry.id: shown.entry.status for shown in view.data}


async def cut_off(rig: SubmissionRig, backend: Backend, count: int) -> list[UUID]:
    """Have so many accepted while RabbitMQ is away, oldest first."""
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    return [(await send(backend, user_id=f"user-{number}")).id for number in range(count)]


async def looked_at(
    backend: Backend,
    kind: JobKind,
    wanted: OutboxFilter = ALL,
    actor: Actor = JANE,
    note: str = "obsolete",
) -> JobPreview:
    request = PreviewRequest(
        kind, DeadLetterQuery(), Filters(), every=wanted == ALL, note=note, outbox=wanted
    )
    return await preview(backend, actor, request)


async def run(backend: Backend, looked: JobPreview, actor: Actor = JANE) -> None:
    await control.start(backend, actor, looked.job.id)
    holder = f"test {looked.job.id}"
    job = await backend.ledger.jobs.take(holder, looked.job.id)
    assert job is not None
    await JobRunner(backend, job, holder).run()


async def results(
    backend: Backend, looked: JobPreview
) -> dict[UUID, tuple[str | None, str | None]]:
    id = IdPrefix.parse(str(looked.job.id))
    page = await control.items(backend, JobItemsRequest(id, 100))
    return {item.item_id: (item.result, item.detail) for item in page.data}


async def test_exactly_what_was_seen_is_marked_and_what_changed_since_is_left(
    rig: SubmissionRig, backend: Backend
) -> None:
    hers, other, cancelled, theirs = await cut_off(rig, backend, 4)
    looked = await looked_at(backend, JobKind.MARK_FAILED)
    assert (looked.job.items, [view.entry.id for view in looked.entries]) == (
        4,
        [hers, other, cancelled, theirs],
    )
    late = (await send(backend)).id
    await backend.ledger.changes.cancel(cancelled, actor="test", reason="wrong customer")
    await outbox.mark_failed(backend, JOE, DecideRequest([theirs], note="mine"))
    await run(backend, looked)
    assert await results(backend, looked) == {
        hers: ("marked_failed", None),
        other: ("marked_failed", None),
        cancelled: ("not_waiting", "it was cancelled"),
        theirs: ("decided_since", "console joe decided about it since: mine"),
    }
    assert await statuses(backend) == {
        hers: EntryStatus.FAILED,
        other: EntryStatus.FAILED,
        cancelled: EntryStatus.CANCELLED,
        theirs: EntryStatus.FAILED,
        late: EntryStatus.PENDING,
    }
    rows = await rig.around.fetch(
        "SELECT actor, reason FROM transitions WHERE notification_id = $1", hers
    )
    assert rows == [{"actor": "console jane", "reason": "obsolete"}]
    (audit,) = await rig.around.fetch(
        "SELECT actor, note FROM operator_actions WHERE action = 'job running'"
    )
    assert audit == {"actor": "console jane", "note": "obsolete"}
    again = await looked_at(backend, JobKind.MARK_PENDING, OutboxFilter(user_id="user-1"))
    await run(backend, again)
    assert (await statuses(backend))[other] is EntryStatus.PENDING


async def test_of_two_operators_at_once_each_entry_has_one_and_the_other_is_told(
    rig: SubmissionRig, backend: Backend
) -> None:
    ids = await cut_off(rig, backend, 6)
    wanted = OutboxFilter(statuses=(EntryStatus.PENDING,))
    first = await looked_at(backend, JobKind.MARK_FAILED, wanted)
    second = await looked_at(backend, JobKind.RETRY, wanted, JOE, "now")
    await asyncio.gather(run(backend, first), run(backend, second, JOE))
    hers, his = await results(backend, first), await results(backend, second)
    for id_ in ids:
        loser = {hers[id_], his[id_]} - {("marked_failed", None), ("retried", None)}
        assert len(loser) == 1
        assert loser <= {
            ("decided_since", "console joe decided about it since: now"),
            ("decided_since", "console jane decided about it since: obsolete"),
        }
    (row,) = await rig.around.fetch(
        "SELECT count(*) AS n FROM transitions WHERE reason IN ('now', 'obsolete')"
    )
    assert row["n"] == 6


async def test_a_decision_whose_reply_was_lost_is_not_made_again(
    rig: SubmissionRig, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut_off(rig, backend, 2)
    looked = await looked_at(backend, JobKind.MARK_FAILED)
    lost = loses_its_first_reply(monkeypatch, backend.ledger.job_actions, "decide")
    await run(backend, looked)
    assert lost.is_set()
    assert {result for result, _ in (await results(backend, looked)).values()} == {"marked_failed"}
    (row,) = await rig.around.fetch(
        "SELECT count(*) AS n FROM transitions WHERE reason = 'obsolete'"
    )
    assert row["n"] == 2


async def test_entries_are_decided_about_by_command(rig: SubmissionRig, backend: Backend) -> None:
    ids = await cut_off(rig, backend, 2)
    env = {**environment_of(rig.around), "COLUMNS": "200"}  # type: ignore[arg-type]  # it has settings
    command = ("outbox", "mark-failed", "--user", "user-1")
    for arguments, words in (
        (command, "Missing option '--note'"),
        ((*command, "--note", "x"), "give --yes"),
        (("outbox", "mark-failed"), "give ids, or --status"),
        ((*command, str(ids[0])), "not both"),
        (("outbox", "retry", "--all", "--force"), "choose for a job"),
    ):
        refused = await forked.tidings(*arguments, env=env)
        assert (refused.code, words in refused.err) == (2, True), refused.err
    looked = await forked.tidings(*command, "--dry-run", env=env)
    assert "1 entry would be marked as failed." in looked.out
    assert set((await statuses(backend)).values()) == {EntryStatus.PENDING}
    done = await forked.tidings(*command, "--note", "x", "--yes", "--json", env=env)
    assert json.loads(done.out)["results"] == {"marked_failed": 1}, done.err
    assert await statuses(backend) == {ids[0]: EntryStatus.PENDING, ids[1]: EntryStatus.FAILED}
    back = await forked.tidings("outbox", "retry", "--all", "--note", "x", "--yes", env=env)
    assert "1 of 1 entry published at once." in back.out


async def test_what_waits_no_more_or_has_no_reason_is_refused(backend: Backend) -> None:
    for wrong, words in (
        ({"note": " "}, "give a reason"),
        ({"wanted": OutboxFilter(statuses=(EntryStatus.SUCCESS,))}, "success entries wait no more"),
        ({"wanted": OutboxFilter(tenant="shop")}, "give ids, a filter"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await looked_at(backend, JobKind.RETRY, **wrong)  # type: ignore[arg-type]
