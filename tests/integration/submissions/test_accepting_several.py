"""Several notifications in one request: one content for many, or many that differ; all or none, or each by itself."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.submission_rig import ACTOR, KEY_HASH, SubmissionRig, mail, send
from tests.support.worker_rig import eventually

from tidings.delivery.errors import LedgerUnavailable
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.errors import (
    IdConflict,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
)
from tidings.operations.submissions.several import (
    SeveralView,
    SubmitSeveralRequest,
    submit_batch,
    submit_to_recipients,
)
from tidings_events import InvalidNotification
from tidings_local.management import Management

PEOPLE = [f"user{number}@example.com" for number in range(7)]


async def to_all(
    backend: Backend, recipients: Sequence[object], key: str | None = None, **fields: object
) -> SeveralView:
    body = mail(**{"recipient": None, "recipients": recipients, **fields})
    request = SubmitSeveralRequest(Caller("tk_live_shop", KEY_HASH, "acme", key), body)
    return await submit_to_recipients(backend, ACTOR, request)


async def batch(
    backend: Backend, *bodies: bytes, key: str | None = None, atomic: bool = False
) -> SeveralView:
    body = b'{"notifications": [%b]}' % b", ".join(bodies)
    request = SubmitSeveralRequest(Caller("tk_live_shop", KEY_HASH, None, key), body, atomic)
    return await submit_batch(backend, ACTOR, request)


def statuses(view: SeveralView) -> list[str]:
    return [item["status"] for item in view.items]


def pointers(invalid: pytest.ExceptionInfo[InvalidNotification]) -> list[str]:
    return [problem.pointer for problem in invalid.value.problems]  # type: ignore[attr-defined]


async def count(rig: SubmissionRig) -> object:
    [row] = await rig.around.fetch("SELECT count(*) AS n FROM notifications")
    return row["n"]


async def test_one_content_goes_to_each_recipient_under_an_id_of_its_own(
    rig: SubmissionRig, backend: Backend
) -> None:
    view = await to_all(backend, [*PEOPLE[:2], {"recipient": PEOPLE[2], "user_id": "user-2"}])
    assert statuses(view) == ["accepted"] * 3
    bodies = await rig.bodies()
    assert [body["recipient"] for body in bodies] == PEOPLE[:3]
    assert [body["id"] for body in bodies] == [item["id"] for item in view.items]
    assert {body["tenant"] for body in bodies} == {"acme"}
    assert bodies[2]["user_id"] == "user-2"


async def test_of_all_or_none_one_invalid_recipient_refuses_all_and_names_each_fault_once(
    rig: SubmissionRig, backend: Backend
) -> None:
    with pytest.raises(InvalidNotification) as invalid:
        await to_all(backend, ["nobody", PEOPLE[0], {"recipient": "none"}], subject=None)
    assert pointers(invalid) == ["/recipients/0", "/subject", "/recipients/2/recipient"]
    assert await count(rig) == 0


async def test_a_batch_is_answered_item_by_item(rig: SubmissionRig, backend: Backend) -> None:
    known, taken = str(uuid4()), str(uuid4())
    await send(backend, id=known)
    await send(backend, id=taken)
    view = await batch(
        backend, mail(), mail(recipient="x"), mail(id=known), mail(id=taken, subject="Other"), b"5"
    )
    assert statuses(view) == ["accepted", "invalid", "duplicate", "invalid", "invalid"]
    errors = [item["errors"][0]["pointer"] for item in view.items if item["status"] == "invalid"]
    assert errors == [
        "/notifications/1/recipient",
        "/notifications/3/id",
        "/notifications/4",
    ]
    assert view.as_data()["accepted"] == 1
    assert (
        len(await rig.bodies()) == 4
    )  # the known one is published again, for its message may be lost


async def test_a_batch_of_invalid_ones_is_invalid(rig: SubmissionRig, backend: Backend) -> None:
    with pytest.raises(InvalidNotification):
        await batch(backend, mail(recipient="x"), key="batch-1")
    assert statuses(await batch(backend, mail(), key="batch-1")) == ["accepted"]


async def test_an_atomic_batch_stores_nothing_beside_a_conflict(
    rig: SubmissionRig, backend: Backend
) -> None:
    taken = str(uuid4())
    await send(backend, id=taken)
    with pytest.raises(IdConflict):
        await batch(backend, mail(), mail(id=taken, subject="Other"), key="batch-1", atomic=True)
    assert await count(rig) == 1
    assert len(await rig.bodies()) == 1
    again = await batch(backend, mail(), key="batch-1", atomic=True)  # the key is not burnt
    assert statuses(again) == ["accepted"]


async def test_the_repeat_of_a_batch_gets_its_first_answer(
    rig: SubmissionRig, backend: Backend
) -> None:
    bodies = [mail(), mail(recipient="x"), mail(id=str(uuid4()))]
    first = await batch(backend, *bodies, key="batch-1")
    second = await batch(backend, *bodies, key="batch-1")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.as_data() == second.as_data()
    for other in (bodies[:2], [*bodies, mail()], bodies[::-1]):
        with pytest.raises(IdempotencyKeyReused):
            await batch(backend, *other, key="batch-1")
    with pytest.raises(IdempotencyKeyReused):
        await to_all(backend, PEOPLE, key="batch-1")
    assert await count(rig) == 2


@pytest.mark.parametrize("atomic", [False, True])
async def test_the_repeat_of_a_batch_is_recognised_though_times_have_passed_since(
    rig: SubmissionRig, backend: Backend, *, atomic: bool
) -> None:
    limit = datetime.now(UTC) + timedelta(seconds=0.3)
    bodies = [mail(), mail(expires_at=limit.isoformat()), mail()]
    first = await batch(backend, *bodies, key="batch-1", atomic=atomic)
    forgotten = "DELETE FROM api_requests"  # as if PostgreSQL had been away at first
    await rig.around.fetch(forgotten)
    await eventually(lambda: datetime.now(UTC) > limit)
    second = await batch(backend, *bodies, key="batch-1", atomic=atomic)
    third = await batch(backend, *bodies, key="batch-1", atomic=atomic)
    assert first.as_data() == second.as_data() == third.as_data()
    assert third.replayed
    if atomic:
        with pytest.raises(InvalidNotification, match="has passed"):
            await batch(backend, *bodies, key="batch-2", atomic=True)
    else:
        other = await batch(backend, *bodies, key="batch-2")
        assert statuses(other) == ["accepted", "invalid", "accepted"]


async def test_one_with_an_id_of_its_own_is_recognised_by_its_key_too(
    rig: SubmissionRig, backend: Backend
) -> None:
    id_ = str(uuid4())
    first = await send(backend, id=id_, key="order-1")
    again = await send(backend, id=id_, key="order-1")
    assert (again.as_data(), again.replayed) == (first.as_data(), True)
    with pytest.raises(IdempotencyKeyReused):
        await send(backend, id=str(uuid4()), key="order-1")
    assert await count(rig) == 1


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "receipt-1"}])
async def test_a_key_of_one_without_an_id_is_recognised_in_every_other_form(
    rig: SubmissionRig, backend: Backend, fields: dict[str, str]
) -> None:
    first = await send(backend, key="order-1", **fields)
    other = mail(subject="Bye")
    for requested in (
        lambda: send(backend, id=str(uuid4()), key="order-1"),
        lambda: batch(backend, other, mail(), key="order-1"),
        lambda: batch(backend, mail(id=str(uuid4())), mail(), key="order-1"),
        lambda: batch(backend, mail(recipient="x"), mail(), key="order-1"),
        lambda: batch(backend, other, mail(), key="order-1", atomic=True),
        lambda: to_all(backend, PEOPLE, key="order-1"),
    ):
        with pytest.raises(IdempotencyKeyReused):
            await requested()
    assert await count(rig) == 1
    again = await send(backend, key="order-1", **fields)
    assert (again.as_data(), again.replayed) == (first.as_data(), True)


@pytest.mark.parametrize("fields", [{}, {"idempotency_key": "receipt-1"}])
async def test_a_key_of_any_other_form_is_recognised_by_one_without_an_id(
    rig: SubmissionRig, backend: Backend, fields: dict[str, str]
) -> None:
    await send(backend, id=str(uuid4()), key="own-id")
    await batch(backend, mail(), mail(), key="batch")
    await batch(backend, mail(id=str(uuid4())), key="batch-of-ids")
    await to_all(backend, PEOPLE[:1], key="recipients")
    stored = await count(rig)
    for key in ("own-id", "batch", "batch-of-ids", "recipients"):
        with pytest.raises(IdempotencyKeyReused):
            await send(backend, key=key, **fields)
    assert await count(rig) == stored
    await rig.around.fetch("UPDATE api_requests SET expires_at = now() - interval '1 second'")
    assert not (await send(backend, key="own-id", **fields)).replayed  # it is forgotten


async def test_a_batch_under_way_is_not_begun_twice(backend: Backend) -> None:
    first, second = await asyncio.gather(
        batch(backend, mail(), key="batch-1"),
        batch(backend, mail(), key="batch-1"),
        return_exceptions=True,
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, IdempotencyKeyInUse)


async def test_all_or_none_are_all_sent_once_though_rabbitmq_fails_half_way(
    rig: SubmissionRig, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.operations.submissions.intake.CONFIRMED_WITHIN", 2.0)
    large = "x" * 100_000
    sending = asyncio.create_task(to_all(backend, PEOPLE * 20, key="all-1", body=large))
    await rig.broker.until_sent(rig.broker.sent + 4_000_000)  # of fourteen million bytes
    port = rig.broker.port
    await rig.broker.close()
    view = await sending
    assert statuses(view) == ["accepted"] * 140
    [row] = await rig.around.fetch("SELECT count(dispatch_at) AS left FROM notifications")
    assert row["left"]
    await rig.broker.open(port)
    channel = ScriptedChannel()
    async with rig.around.scheduling(), rig.around.working(channel):

        async def all_sent() -> bool:
            [row] = await rig.around.fetch(
                "SELECT count(*) AS n FROM notifications WHERE state = 'sent'"
            )
            return row["n"] == 140

        await eventually(all_sent, 20)
        await eventually(rig.around.drained)
    assert len(channel.requests) == 140


async def test_all_or_none_needs_postgresql_and_a_batch_does_not(
    rig: SubmissionRig, backend: Backend
) -> None:
    await rig.database.close()
    with pytest.raises(LedgerUnavailable):
        await to_all(backend, PEOPLE)
    with pytest.raises(LedgerUnavailable):
        await batch(backend, mail(), mail(), atomic=True)
    assert await rig.bodies() == []
    first = await batch(backend, mail(), mail(recipient="x"), key="batch-1")
    second = await batch(backend, mail(), mail(recipient="x"), key="batch-1")
    assert statuses(first) == statuses(second) == ["accepted", "invalid"]
    assert first.items[0]["id"] == second.items[0]["id"]


async def test_what_one_lane_refuses_leaves_the_others_of_a_batch_accepted(
    rig: SubmissionRig, backend: Backend, management: Management
) -> None:
    await management.set_policy("full", "^tidings.email.high$", {"max-length": 1})
    full = mail(priority="high")

    async def refused() -> bool:
        id_ = (await send(backend, full)).id
        found = await rig.around.fetch("SELECT dispatch_at FROM notifications WHERE id = $1", id_)
        return found[0]["dispatch_at"] is not None

    await eventually(refused)
    await rig.database.close()
    view = await batch(backend, mail(), full, mail(recipient="x"), key="batch-1")
    assert statuses(view) == ["accepted", "unavailable", "invalid"]
    assert view.as_data()["unavailable"] == 1
    assert view.items[1]["errors"][0]["code"] == "unavailable"
    again = await batch(backend, mail(), mail(id=view.items[1]["id"]))
    assert statuses(again) == ["accepted", "accepted"]
    with pytest.raises(LedgerUnavailable):
        await batch(backend, full, full, mail(recipient="x"))


async def test_what_memory_less_mode_accepted_is_recognised_when_postgresql_is_back(
    rig: SubmissionRig, backend: Backend
) -> None:
    port = rig.database.port
    await rig.database.close()
    first = await batch(backend, mail(), mail(), key="batch-1")
    await rig.database.open(port)
    channel = ScriptedChannel()
    async with rig.around.working(channel):
        for item in first.items:
            await rig.around.reaches(json.loads(json.dumps(item))["id"], "sent")

        async def back() -> bool:
            view = await send(backend)
            return await rig.around.state(view.id) is not None

        await eventually(back)
        second = await batch(backend, mail(), mail(), key="batch-1")
        assert second.as_data() == first.as_data()
        await eventually(rig.around.drained)
    sent = [request.notification.id for request in channel.requests]
    assert len(sent) == len(set(sent))
