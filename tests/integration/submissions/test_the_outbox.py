"""People see what was accepted while RabbitMQ was away, and decide about it."""

import json
from uuid import UUID, uuid4

import pytest
from tests.support.submission_rig import ACTOR, SubmissionRig, send
from tests.support.worker_rig import eventually

from tidings.delivery.errors import InvalidRequest
from tidings.operations import outbox
from tidings.operations.backend import Backend
from tidings.operations.outbox import DecideRequest, EntryStatus, ListOutboxRequest, RetryRequest


async def statuses(backend: Backend, **filters: object) -> dict[UUID, EntryStatus]:
    view = await outbox.list_(backend, ListOutboxRequest(**filters))  # type: ignore[arg-type]
    return {shown.entry.id: shown.entry.status for shown in view.data}


async def test_entries_are_listed_given_up_retried_and_published(
    rig: SubmissionRig, backend: Backend
) -> None:
    port = rig.broker.port
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    ids = [(await send(backend, user_id=f"user-{number}")).id for number in range(4)]
    assert await statuses(backend) == dict.fromkeys(reversed(ids), EntryStatus.PENDING)
    assert list(await statuses(backend, user_id="user-1")) == [ids[1]]
    assert await statuses(backend, tenant="other") == {}
    unknown = uuid4()
    given_up = await outbox.mark_failed(backend, ACTOR, DecideRequest([ids[0], ids[1], unknown]))
    assert given_up.succeeded == (ids[0], ids[1])
    assert [entry.id for entry in given_up.failed] == [unknown]
    (audit,) = await rig.around.fetch("SELECT actor, action, note, details FROM operator_actions")
    assert (audit["actor"], audit["action"]) == (str(ACTOR), "outbox mark_failed")
    assert json.loads(str(audit["details"]))["entries"] == 2
    foreign = await outbox.mark_failed(backend, ACTOR, DecideRequest([ids[2]], tenant="other"))
    assert foreign.succeeded == ()
    await backend.ledger.outbox_entries.not_published([ids[2]], "its lane is full")
    assert await statuses(backend, statuses=[EntryStatus.FAILED, EntryStatus.RETRYING]) == {
        ids[2]: EntryStatus.RETRYING,
        ids[1]: EntryStatus.FAILED,
        ids[0]: EntryStatus.FAILED,
    }
    await rig.broker.open(port)
    async with rig.around.scheduling():

        async def published() -> bool:
            found = await statuses(backend, statuses=[EntryStatus.SUCCESS])
            return set(found) == {ids[2], ids[3]}

        await eventually(published)
        assert await statuses(backend, statuses=[EntryStatus.FAILED]) == dict.fromkeys(
            [ids[1], ids[0]], EntryStatus.FAILED
        )
        pending = await outbox.mark_pending(backend, ACTOR, DecideRequest([ids[0], ids[3]]))
        assert pending.succeeded == (ids[0],)
        assert pending.failed[0].reason == "it has been published"
        would = await outbox.retry(backend, ACTOR, RetryRequest(dry_run=True))
        assert (would.succeeded, would.dry_run) == ((ids[1],), True)
        retried = await outbox.retry(backend, ACTOR, RetryRequest())
        assert retried.succeeded == (ids[1],)

        async def all_published() -> bool:
            return set((await statuses(backend)).values()) == {EntryStatus.SUCCESS}

        await eventually(all_published)
    assert {body["id"] for body in await rig.bodies()} == {str(id_) for id_ in ids}
    notes = await rig.around.fetch(
        "SELECT actor, reason FROM transitions WHERE notification_id = $1 ORDER BY id", ids[0]
    )
    assert [row["reason"] for row in notes] == [
        "marked as failed in the outbox",
        "marked as pending in the outbox",
    ]


async def test_a_dry_run_tells_what_a_decision_would_do_and_changes_nothing(
    rig: SubmissionRig, backend: Backend
) -> None:
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    waiting, cancelled, unknown = (await send(backend)).id, (await send(backend)).id, uuid4()
    await backend.ledger.changes.cancel(cancelled, actor="test", reason="wrong customer")
    ids = [unknown, waiting, cancelled]
    before = await outbox.list_(backend, ListOutboxRequest())
    assert await statuses(backend, statuses=[EntryStatus.SUCCESS]) == {}
    assert list(await statuses(backend, statuses=[EntryStatus.CANCELLED])) == [cancelled]
    for decide in (outbox.retry_some, outbox.mark_failed, outbox.mark_pending):
        would = await decide(backend, ACTOR, DecideRequest(ids, dry_run=True))
        assert await outbox.list_(backend, ListOutboxRequest()) == before
        done = await decide(backend, ACTOR, DecideRequest(ids))
        assert would.succeeded == done.succeeded == (waiting,)
        assert would.failed == done.failed
        reasons = {entry.id: entry.reason for entry in done.failed}
        assert reasons[cancelled] == "it was cancelled"
        assert would.as_data() == {"dry_run": True, **done.as_data()}
        before = await outbox.list_(backend, ListOutboxRequest())


async def test_an_old_entry_is_retried_by_force_only(rig: SubmissionRig, backend: Backend) -> None:
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    id_ = (await send(backend)).id
    await outbox.mark_failed(backend, ACTOR, DecideRequest([id_]))
    async with backend.ledger.database.connection() as connection:
        await connection.execute("UPDATE outbox_entries SET entered_at = now() - interval '2 days'")
    assert (await outbox.retry(backend, ACTOR, RetryRequest())).succeeded == ()
    forced = await outbox.retry(backend, ACTOR, RetryRequest(force=True, limit=1))
    assert forced.succeeded == (id_,)
    with pytest.raises(InvalidRequest):
        await outbox.retry(backend, ACTOR, RetryRequest(limit=0))
    with pytest.raises(InvalidRequest, match="no cursor"):
        await outbox.list_(backend, ListOutboxRequest(cursor=str(uuid4())))
