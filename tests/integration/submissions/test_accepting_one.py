"""One notification over HTTP: stored and published, once for each id, whatever is away."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID, uuid4

import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.submission_rig import SubmissionRig, mail, send
from tests.support.worker_rig import eventually

from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.notifications.accepting import Standing
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend, opened
from tidings.operations.rescheduling import RescheduleRequest, reschedule
from tidings.operations.submissions.errors import (
    IdConflict,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
)
from tidings_events import InvalidNotification
from tidings_local.management import Management

AT_ONCE = 1.8
"""Seconds: less than any time limit, which is two."""


async def row_of(rig: SubmissionRig, id: UUID) -> dict[str, object]:
    [row] = await rig.around.fetch("SELECT * FROM notifications WHERE id = $1", id)
    return row


async def test_what_is_accepted_is_stored_and_in_its_lane(
    rig: SubmissionRig, backend: Backend
) -> None:
    accepted = await send(backend, category="receipt", user_id="user-1")
    assert accepted.standing is Standing.ACCEPTED
    row = await row_of(rig, accepted.id)
    assert (row["state"], row["attempt"], row["dispatch_at"]) == ("queued", 0, None)
    assert (row["user_id"], row["producer"]) == ("user-1", "api-key shop tk_live_shop")
    [body] = await rig.bodies()
    assert body["id"] == str(accepted.id)
    assert json.loads(row["body"]) == body  # type: ignore[arg-type]


async def test_a_local_time_becomes_an_instant_that_the_answer_has(
    rig: SubmissionRig, backend: Backend
) -> None:
    day = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    local = {"scheduled_at": f"{day}T09:00", "timezone": "Asia/Kolkata", "metadata": {"n": 1.5}}
    accepted = await send(backend, **local)
    assert accepted.as_data()["scheduled_at"] == f"{day}T09:00:00+05:30"
    assert accepted.as_data()["adjustment"] is None
    row = await row_of(rig, accepted.id)
    assert (row["state"], row["scheduled_at"]) == (
        "scheduled",
        datetime.fromisoformat(f"{day}T03:30Z"),
    )
    for given, field in (
        ({**local, "timezone": "Berlin"}, "timezone"),
        ({**local, "timezone": "recipient"}, "timezone"),
        ({**local, "scheduled_at": "2020-01-01T09:00"}, "scheduled_at"),
        ({"timezone": "UTC"}, "timezone"),
    ):
        with pytest.raises(InvalidNotification) as refusal:
            await send(backend, **given)
        [problem] = refusal.value.problems
        assert problem.startswith(f"{field}: ")


async def test_a_repeat_of_what_was_rescheduled_is_answered_as_before(
    rig: SubmissionRig, backend: Backend
) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    body = mail(scheduled_at=due.isoformat())
    accepted = await send(backend, body, key="k1")
    later = (due + timedelta(hours=3)).isoformat()
    request = RescheduleRequest(IdPrefix.parse(str(accepted.id)), later)
    await reschedule(backend, Actor("cli", "jane"), request)
    repeated = await send(backend, body, key="k1")
    assert (repeated.id, repeated.replayed) == (accepted.id, True)
    assert (await row_of(rig, accepted.id))["scheduled_at"] == due + timedelta(hours=3)


async def test_what_a_worker_finds_stored_already_is_sent_once_and_is_no_duplicate(
    rig: SubmissionRig, backend: Backend
) -> None:
    channel = ScriptedChannel()
    accepted = [await send(backend) for _ in range(3)]
    async with rig.around.working(channel):
        for view in accepted:
            await rig.around.reaches(view.id, "sent")
        assert len(channel.requests) == 3
        attempts = await rig.around.fetch("SELECT possible_duplicate FROM attempts")
    assert [row["possible_duplicate"] for row in attempts] == [False] * 3


async def test_a_message_read_before_its_row_is_looked_at_is_sent_once(
    rig: SubmissionRig, backend: Backend
) -> None:
    channel = ScriptedChannel()
    async with rig.around.working(channel):
        accepted = await asyncio.gather(*(send(backend) for _ in range(50)))
        for view in accepted:
            await rig.around.reaches(view.id, "sent")
    assert len(channel.requests) == 50


async def test_the_same_id_with_the_same_content_is_a_duplicate_however_it_is_written(
    rig: SubmissionRig, backend: Backend
) -> None:
    id_ = uuid4()
    assert (await send(backend, id=str(id_))).standing is Standing.ACCEPTED
    again = json.dumps(dict(reversed(json.loads(mail(id=str(id_))).items())), indent=2)
    repeated = await send(backend, again.encode())
    assert (repeated.id, repeated.standing) == (id_, Standing.DUPLICATE)


async def test_the_same_id_with_other_content_is_a_conflict_and_not_published(
    rig: SubmissionRig, backend: Backend
) -> None:
    id_ = uuid4()
    await send(backend, id=str(id_))
    with pytest.raises(IdConflict):
        await send(backend, id=str(id_), subject="Bye")
    assert [body["subject"] for body in await rig.bodies()] == ["Hello"]


async def test_two_with_one_id_at_one_moment_are_told_apart(
    rig: SubmissionRig, backend: Backend
) -> None:
    id_ = str(uuid4())
    first, same, other = await asyncio.gather(
        send(backend, id=id_),
        send(backend, id=id_),
        send(backend, id=id_, subject="Bye"),
        return_exceptions=True,
    )
    assert not isinstance(first, BaseException)
    assert not isinstance(same, BaseException)
    assert [first.standing, same.standing] == [Standing.ACCEPTED, Standing.DUPLICATE]
    assert isinstance(other, IdConflict)


async def test_the_repeat_of_a_request_gets_its_first_answer(
    rig: SubmissionRig, backend: Backend
) -> None:
    first = await send(backend, key="order-1")
    second = await send(backend, key="order-1")
    assert (first.as_data(), first.replayed) == (second.as_data(), False)
    assert second.replayed
    with pytest.raises(IdempotencyKeyReused):
        await send(backend, key="order-1", subject="Bye")


async def test_a_request_is_recognised_though_its_time_has_passed_since(
    rig: SubmissionRig, backend: Backend
) -> None:
    limit = datetime.now(UTC) + timedelta(seconds=0.3)
    fields = {"expires_at": limit.isoformat()}
    first = await send(backend, key="code-1", **fields)
    own = await send(backend, id=str(uuid4()), **fields)
    await eventually(lambda: datetime.now(UTC) > limit)
    again = await send(backend, key="code-1", **fields)
    assert (again.as_data(), again.replayed) == (first.as_data(), True)
    same = await send(backend, id=str(own.id), **fields)
    assert (same.id, same.standing) == (own.id, Standing.DUPLICATE)
    for unknown in ({"key": "code-2"}, {"id": str(uuid4())}, {}):
        with pytest.raises(InvalidNotification, match="has passed"):
            await send(backend, **unknown, **fields)
    with pytest.raises(IdempotencyKeyReused):
        await send(backend, key="code-1", subject="Bye", **fields)


async def test_while_postgresql_is_away_nobody_says_that_a_repeat_is_too_late(
    rig: SubmissionRig, backend: Backend
) -> None:
    await rig.database.close()
    past = "2020-01-01T00:00:00Z"
    with pytest.raises(LedgerUnavailable):
        await send(backend, key="code-1", expires_at=past)
    with pytest.raises(InvalidNotification):
        await send(backend, expires_at=past)


async def test_a_request_that_is_under_way_is_not_begun_twice(
    rig: SubmissionRig, backend: Backend
) -> None:
    first, second = await asyncio.gather(
        send(backend, key="order-1"), send(backend, key="order-1"), return_exceptions=True
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, IdempotencyKeyInUse)


async def test_an_invalid_request_burns_no_key(rig: SubmissionRig, backend: Backend) -> None:
    with pytest.raises(InvalidNotification):
        await send(backend, key="order-1", recipient="nobody")
    assert (await send(backend, key="order-1")).standing is Standing.ACCEPTED


async def test_who_holds_an_idempotency_key_is_decided_when_it_is_accepted(
    rig: SubmissionRig, backend: Backend
) -> None:
    first = await send(backend, idempotency_key="receipt-1")
    second = await send(backend, idempotency_key="receipt-1")
    assert (second.standing, second.duplicate_of) == (Standing.DUPLICATE, first.id)
    channel = ScriptedChannel()
    async with rig.around.working(channel):
        await rig.around.reaches(first.id, "sent")
        assert await rig.around.state(second.id) == "suppressed"
    assert len(channel.requests) == 1


async def test_what_is_scheduled_waits_in_the_ledger(rig: SubmissionRig, backend: Backend) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    accepted = await send(backend, scheduled_at=due.isoformat())
    row = await row_of(rig, accepted.id)
    assert (row["state"], row["dispatch_at"]) == ("scheduled", due)
    assert await rig.bodies() == []


async def test_the_tenant_is_that_of_the_key_unless_it_may_name_any(
    rig: SubmissionRig, backend: Backend
) -> None:
    own = await send(backend, tenant="acme", metadata={"tenant": "x", "id": "y"})
    named = await send(backend, mail(tenant="umbrella"))
    rows = [await row_of(rig, view.id) for view in (own, named)]
    assert [row["tenant"] for row in rows] == ["acme", "umbrella"]
    assert {body["tenant"] for body in await rig.bodies()} == {"acme", "umbrella"}


async def test_while_rabbitmq_is_away_the_outbox_takes_all_in_order_at_once(
    rig: SubmissionRig, backend: Backend
) -> None:
    port = rig.broker.port
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    began = monotonic()
    accepted = [await send(backend, subject=str(number)) for number in range(20)]
    assert monotonic() - began < AT_ONCE
    rows = await rig.around.fetch("SELECT id FROM notifications ORDER BY dispatch_at")
    assert [row["id"] for row in rows] == [view.id for view in accepted]
    await rig.broker.open(port)
    await eventually(lambda: backend.intake.connected)
    after = await send(backend, subject="20")
    assert (await row_of(rig, after.id))["dispatch_at"] is not None  # overtakes none
    async with rig.around.scheduling():

        async def published() -> bool:
            return await rig.around.depth("tidings.email.normal") == 21

        await eventually(published)
        subjects = [body["subject"] for body in await rig.bodies()]
        assert subjects == [str(number) for number in range(21)]

        async def direct() -> bool:
            return (await row_of(rig, (await send(backend)).id))["dispatch_at"] is None

        await eventually(direct)


async def test_what_is_not_confirmed_in_time_goes_to_the_outbox_and_is_sent_once(
    rig: SubmissionRig, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.operations.submissions.intake.CONFIRMED_WITHIN", 0.3)
    await send(backend)
    rig.broker.silent = True  # it takes the message, and its confirm is lost
    unsure = await send(backend)
    assert (await row_of(rig, unsure.id))["dispatch_at"] is not None
    began = monotonic()
    next_ = await send(backend)
    assert monotonic() - began < 0.25
    channel = ScriptedChannel()
    async with rig.around.scheduling(), rig.around.working(channel):
        for view in (unsure, next_):
            await rig.around.reaches(view.id, "sent")

        async def settled() -> bool:
            return await rig.around.drained()

        await eventually(settled)
    assert len(channel.requests) == 3


async def test_while_postgresql_is_away_it_is_published_alone_and_sent_once(
    rig: SubmissionRig, backend: Backend
) -> None:
    port = rig.database.port
    await send(backend)
    await rig.database.close()
    accepted = [await send(backend, key=f"order-{number}") for number in range(5)]
    again = [await send(backend, key=f"order-{number}") for number in range(5)]
    assert [view.id for view in again] == [view.id for view in accepted]
    channel = ScriptedChannel()
    async with rig.around.working(channel):
        for view in accepted:
            await rig.around.reaches(view.id, "sent")
        await eventually(rig.around.drained)
    assert len(channel.requests) == 6
    await rig.database.open(port)

    async def stored() -> bool:
        view = await send(backend)
        return await rig.around.state(view.id) == "queued"

    await eventually(stored)


async def test_while_postgresql_is_silent_only_the_first_wait_for_it(
    rig: SubmissionRig, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.operations.submissions.intake.STORED_WITHIN", 0.3)
    await send(backend)
    rig.database.silent = True
    await send(backend)
    began = monotonic()
    await send(backend)
    assert monotonic() - began < 0.25
    assert len(await rig.bodies()) == 3


async def test_while_both_are_away_nothing_is_accepted(
    rig: SubmissionRig, backend: Backend
) -> None:
    await rig.database.close()
    await rig.broker.close()
    await eventually(lambda: not backend.intake.connected)
    for _ in range(2):
        began = monotonic()
        with pytest.raises(LedgerUnavailable):
            await send(backend, key="order-1")
        assert monotonic() - began < AT_ONCE
    assert not backend.intake.accepts


async def test_readers_who_have_every_connection_keep_nothing_from_being_stored(
    rig: SubmissionRig,
) -> None:
    settings = rig.around.settings
    async with opened(settings, "api test", accepting=True) as backend, AsyncExitStack() as readers:
        await eventually(lambda: backend.intake.connected)
        for _ in range(settings.ledger.database_pool_size):
            await readers.enter_async_context(backend.ledger.database.connection())
        started = monotonic()
        accepted = await send(backend)
        assert monotonic() - started < AT_ONCE
        assert (await row_of(rig, accepted.id))["state"] == "queued"
        assert await backend.intake.api_keys.valid() == {}


async def test_what_a_full_lane_refuses_waits_in_the_outbox_and_no_other_lane_is_held_up(
    rig: SubmissionRig, backend: Backend, management: Management
) -> None:
    await management.set_policy("full", "^tidings.email.normal$", {"max-length": 1})

    async def refused() -> bool:
        return (await row_of(rig, (await send(backend)).id))["dispatch_at"] is not None

    await eventually(refused)
    text = {"channel": "sms", "recipient": "+14155550123", "subject": None, "body": "Your code"}
    assert (await row_of(rig, (await send(backend, **text)).id))["dispatch_at"] is None
