"""Another due time: for what is scheduled only, in its body too, and racing the old one."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.support.attempts import attempt_of, body_of
from tests.support.ledger_rig import LedgerRig, request_of

from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.outcome import Claimed
from tidings.delivery.states import State
from tidings.ledger.notifications.changes import ChangedSince, Changes, Rescheduled
from tidings.operations.dead_letters.body import with_fields
from tidings_events import parse


@pytest.fixture
def ledger(ledger_alone: LedgerRig) -> LedgerRig:
    return ledger_alone


def ahead(**length: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**length)


async def stored(ledger: LedgerRig, due: datetime, **fields: object) -> Attempt:
    attempt = attempt_of(scheduled_at=due.isoformat(), **fields)
    await ledger.claim(request_of(attempt))
    return attempt


async def rescheduled(ledger: LedgerRig, id: UUID, at: datetime, **fields: object) -> Rescheduled:
    return await Changes(ledger.database).reschedule(
        id,
        at,
        write=lambda body: with_fields(body, [f'scheduled_at="{at.isoformat()}"']),
        expires_at=lambda attempt: attempt.notification.expires_at,
        actor="cli jane",
        **fields,  # type: ignore[arg-type]  # each test gives those it is about
    )


async def test_its_row_its_body_and_its_history_have_the_new_time(ledger: LedgerRig) -> None:
    due, later = ahead(hours=1), ahead(hours=5)
    attempt = await stored(ledger, due, metadata={"price": 1.5})
    done = await rescheduled(ledger, attempt.id, later, note="moved")
    row = await ledger.row(attempt.id)
    assert (row["state"], row["scheduled_at"], row["dispatch_at"]) == ("scheduled", later, later)
    assert (done.previously, done.updated_at) == (due, row["updated_at"])
    assert parse(row["body"]).scheduled_at == later
    assert json.loads(row["body"])["metadata"] == {"price": 1.5}
    written = "%Y-%m-%d %H:%M:%S UTC"
    reason = f"rescheduled from {due:{written}} to {later:{written}}: moved"
    assert await ledger.history(attempt.id) == [("scheduled", "scheduled", reason)]


async def test_what_was_brought_forward_is_dispatched_and_claimed(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, ahead(hours=1))
    await rescheduled(ledger, attempt.id, ahead())
    [entry] = await ledger.outbox.take(10, actor="scheduler")
    message = Attempt(
        parse(entry.body), entry.body, Lane("email", "normal"), 0, 1, attempt.first_seen
    )
    [claim] = await ledger.claim(request_of(message))
    assert isinstance(claim, Claimed)


async def test_its_producer_may_publish_it_again_as_it_was(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, ahead(hours=1))
    await rescheduled(ledger, attempt.id, ahead(hours=5))
    await ledger.claim(request_of(attempt))
    assert len(await ledger.history(attempt.id)) == 1, "no note of other content"
    other = body_of(
        id=str(attempt.id), scheduled_at=ahead(hours=1).isoformat(), subject="Something else"
    )
    await ledger.claim(
        request_of(Attempt(parse(other), other, attempt.lane, 0, 1, attempt.first_seen))
    )
    assert "other content" in (await ledger.history(attempt.id))[1][2]


async def test_it_must_still_be_sent_before_it_expires(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, ahead(hours=1), expires_at=ahead(hours=2).isoformat())
    with pytest.raises(InvalidRequest, match="expires_at: is not after") as refusal:
        await rescheduled(ledger, attempt.id, ahead(hours=3))
    assert refusal.value.field == "scheduled_at"
    assert await ledger.history(attempt.id) == []


async def test_what_is_dispatched_cancelled_or_unknown_is_refused_with_its_state(
    ledger: LedgerRig,
) -> None:
    queued, cancelled = [await stored(ledger, ahead(hours=1)) for _ in range(2)]
    await ledger.execute("UPDATE notifications SET state = 'queued' WHERE id = $1", queued.id)
    await Changes(ledger.database).cancel(cancelled.id, actor="jane", reason="mistake")
    for attempt, why in ((queued, "it is queued"), (cancelled, "it has ended as cancelled")):
        with pytest.raises(Refused, match=why):
            await rescheduled(ledger, attempt.id, ahead(hours=2))
    with pytest.raises(Refused, match="there is no notification"):
        await rescheduled(ledger, attempt_of().id, ahead(hours=2))


async def test_another_tenants_is_not_there(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, ahead(hours=1), tenant="acme")
    with pytest.raises(Refused, match="there is no notification"):
        await rescheduled(ledger, attempt.id, ahead(hours=2), tenant="umbrella")
    assert await rescheduled(ledger, attempt.id, ahead(hours=2), tenant="acme")


async def test_of_two_who_read_the_same_only_one_changes_it(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, ahead(hours=1))
    seen = (await ledger.row(attempt.id))["updated_at"]
    answers = await asyncio.gather(
        *(
            rescheduled(ledger, attempt.id, ahead(hours=hours), unless_changed_since=seen)
            for hours in (2, 3)
        ),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {ChangedSince, Rescheduled}
    assert len(await ledger.history(attempt.id)) == 1


async def test_racing_the_old_due_time_each_is_sent_once_at_one_of_the_two(
    ledger: LedgerRig,
) -> None:
    due, later = ahead(hours=1), ahead(hours=5)
    attempts = [attempt_of(scheduled_at=due.isoformat()) for _ in range(200)]
    await ledger.claim(*map(request_of, attempts))
    await ledger.execute("UPDATE notifications SET dispatch_at = now()")

    async def dispatch() -> list[UUID]:
        taken: list[UUID] = []
        while found := await ledger.outbox.take(20, actor="scheduler", lease=600):
            taken += [entry.id for entry in found]
        return taken

    async def move(attempt: Attempt) -> UUID | None:
        try:
            await rescheduled(ledger, attempt.id, later)
        except Refused:
            return None
        return attempt.id

    taken, *moved = await asyncio.gather(dispatch(), *map(move, reversed(attempts)))
    kept = {id_ for id_ in moved if id_ is not None}
    assert kept
    assert set(taken) | kept == {attempt.id for attempt in attempts}
    assert not set(taken) & kept
    for attempt in attempts:
        row = await ledger.row(attempt.id)
        expected = (State.SCHEDULED, later) if attempt.id in kept else (State.QUEUED, due)
        assert (row["state"], row["scheduled_at"]) == expected
