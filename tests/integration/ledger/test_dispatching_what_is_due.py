"""The outbox on PostgreSQL: what is due is taken once, and again where whoever took it is gone."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, LedgerRig, record_of, request_of

from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.states import State
from tidings.ledger.notifications.changes import Changes
from tidings.ledger.notifications.dispatch import HEAVIEST, LEASE, OutboxEntry
from tidings.ledger.notifications.outbox_entries import enter
from tidings.ledger.notifications.outbox_lease import keep_leased


@pytest.fixture
def ledger(ledger_alone: LedgerRig) -> LedgerRig:
    """Nobody else's notifications are due."""
    return ledger_alone


PUBLISHED = {
    *(State.SCHEDULED, State.QUEUED, State.RETRYING),
    *(State.FAILED, State.EXPIRED, State.UNKNOWN),  # to the dead letters
}


def due_in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def stored(ledger: LedgerRig, seconds: float = 3600.0, **fields: object) -> Attempt:
    """A notification that is scheduled."""
    attempt = attempt_of(scheduled_at=due_in(seconds).isoformat(), **fields)
    await ledger.claim(request_of(attempt))
    assert await ledger.state(attempt.id) is State.SCHEDULED
    return attempt


async def falls_due(ledger: LedgerRig, *ids: UUID, ago: float = 1.0) -> None:
    await ledger.execute(
        "UPDATE notifications SET dispatch_at = now() - $2 * interval '1 second' "
        "WHERE id = ANY($1)",
        ids,
        ago,
    )


async def taken(ledger: LedgerRig, limit: int = 100, lease: float = 30.0) -> list[UUID]:
    dispatches = await ledger.outbox.take(limit, actor="scheduler", lease=lease)
    return [entry.id for entry in dispatches]


async def test_what_is_not_due_stays(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    assert await taken(ledger) == []
    assert await ledger.state(attempt.id) is State.SCHEDULED


async def test_what_is_due_is_taken_with_all_that_its_message_needs(ledger: LedgerRig) -> None:
    attempt = await stored(ledger, priority="urgent")
    await ledger.execute("UPDATE notifications SET traceparent = '00-a-b-01'")
    await falls_due(ledger, attempt.id)
    [dispatch] = await ledger.outbox.take(100, actor="scheduler")
    assert (dispatch.id, dispatch.lane) == (attempt.id, Lane("email", "urgent"))
    assert (dispatch.epoch, dispatch.first_seen) == (0, attempt.first_seen)
    assert (dispatch.body, dispatch.traceparent) == (attempt.body, "00-a-b-01")
    assert await ledger.state(attempt.id) is State.QUEUED
    assert await ledger.history(attempt.id) == [("scheduled", "queued", "due")]


async def test_what_was_due_first_goes_first_and_no_more_than_asked_for(
    ledger: LedgerRig,
) -> None:
    attempts = [await stored(ledger) for _ in range(5)]
    for age, attempt in enumerate(attempts):
        await falls_due(ledger, attempt.id, ago=10.0 - age)
    assert set(await taken(ledger, limit=3)) == {attempt.id for attempt in attempts[:3]}
    assert set(await taken(ledger, limit=3)) == {attempt.id for attempt in attempts[3:]}


async def test_no_more_bytes_are_taken_at_once_than_fit_in_memory(ledger: LedgerRig) -> None:
    attempts = [await stored(ledger) for _ in range(6)]
    for age, attempt in enumerate(attempts):
        await falls_due(ledger, attempt.id, ago=10.0 - age)
    large, ids = HEAVIEST // 2, [attempt.id for attempt in attempts]
    for id_ in (ids[0], ids[1], ids[2]):
        await ledger.execute(
            "UPDATE notifications SET body = convert_to(repeat('x', $2), 'UTF8') WHERE id = $1",
            id_,
            large,
        )
    assert set(await taken(ledger)) == set(ids[:2])
    assert set(await taken(ledger)) == set(ids[2:])


async def test_one_that_is_larger_than_all_that_is_taken_at_once_is_taken_alone(
    ledger: LedgerRig,
) -> None:
    first, second = await stored(ledger), await stored(ledger)
    await falls_due(ledger, first.id, ago=10.0)
    await falls_due(ledger, second.id, ago=5.0)
    await ledger.execute(
        "UPDATE notifications SET body = convert_to(repeat('x', $2), 'UTF8') WHERE id = $1",
        first.id,
        HEAVIEST + 1,
    )
    assert await taken(ledger) == [first.id]
    assert await taken(ledger) == [second.id]


async def test_two_schedulers_at_once_take_disjoint_sets_and_together_all(
    ledger: LedgerRig,
) -> None:
    due = due_in(3600).isoformat()
    attempts = [attempt_of(scheduled_at=due) for _ in range(500)]
    await ledger.claim(*map(request_of, attempts))
    ids = [attempt.id for attempt in attempts]
    await falls_due(ledger, *ids)

    async def work() -> list[UUID]:
        mine: list[UUID] = []
        while batch := await taken(ledger, limit=20):
            mine += batch
        return mine

    parts = await asyncio.gather(*(work() for _ in range(3)))
    assert sorted(id for part in parts for id in part) == sorted(ids)
    assert sum(1 for part in parts if part) > 1, "they were at it together"


async def test_what_another_has_under_lock_is_skipped_and_not_waited_for(
    ledger: LedgerRig,
) -> None:
    attempt, other = await stored(ledger), await stored(ledger)
    await falls_due(ledger, attempt.id, other.id)
    async with ledger.database.transaction() as connection, asyncio.timeout(5):
        await connection.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", attempt.id)
        assert await taken(ledger) == [other.id]
    assert await taken(ledger) == [attempt.id]


async def test_what_was_taken_and_not_confirmed_is_due_again_after_the_lease(
    ledger: LedgerRig,
) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    assert await taken(ledger, lease=30.0) == [attempt.id]
    assert await taken(ledger) == [], "it is somebody's for thirty seconds"
    await falls_due(ledger, attempt.id)
    assert await taken(ledger, lease=-1.0) == [attempt.id]
    assert await taken(ledger, lease=-1.0) == [attempt.id]
    assert len(await ledger.history(attempt.id)) == 1, "it became queued once"


async def test_what_is_held_is_left_alone_until_it_is_let_go(ledger: LedgerRig) -> None:
    """Longer than a lease lasts by itself; and no longer once nobody holds it."""
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    async with asyncio.timeout(20):
        [dispatch] = await ledger.outbox.take(100, actor="one", lease=LEASE)
        async with keep_leased(partial(ledger.outbox.keep, [dispatch])):
            until = time.monotonic() + 1.5 * LEASE
            while time.monotonic() < until:
                assert await taken(ledger) == []
                await asyncio.sleep(0.1)
        while not await taken(ledger):
            await asyncio.sleep(0.1)
        assert time.monotonic() - until <= LEASE + 1


async def test_holding_brings_nothing_back_that_was_published(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    [dispatch] = await ledger.outbox.take(100, actor="one")
    await ledger.outbox.dispatched([dispatch])
    await ledger.outbox.keep([dispatch])
    assert (await ledger.row(attempt.id))["dispatch_at"] is None


async def due_against_the_order_of_ids(ledger: LedgerRig) -> list[OutboxEntry]:
    """Two that were taken; the one with the larger id was due first."""
    smaller, larger = sorted([(await stored(ledger)).id for _ in range(2)])
    await falls_due(ledger, larger, ago=2.0)
    await falls_due(ledger, smaller, ago=1.0)
    dispatches = await ledger.outbox.take(100, actor="one")
    assert {entry.id for entry in dispatches} == {smaller, larger}
    return sorted(dispatches, key=lambda entry: entry.id, reverse=True)


LOCK = "SELECT FROM notifications WHERE id = $1 FOR UPDATE NOWAIT"
ENTRY = "SELECT published_at FROM outbox_entries WHERE notification_id = $1"


async def test_holding_waits_for_nobody_who_has_one_of_them(ledger: LedgerRig) -> None:
    dispatches = await due_against_the_order_of_ids(ledger)
    larger, smaller = (entry.id for entry in dispatches)
    before = [(await ledger.row(id))["dispatch_at"] for id in (larger, smaller)]
    async with ledger.database.transaction() as claiming:
        await claiming.execute(LOCK, smaller)
        async with asyncio.timeout(5):
            await ledger.outbox.keep(dispatches, 600.0)
    after = [(await ledger.row(id))["dispatch_at"] for id in (larger, smaller)]
    assert after[0] > before[0]
    assert after[1] == before[1]


async def test_a_confirm_waits_with_nothing_that_others_wait_for(ledger: LedgerRig) -> None:
    dispatches = await due_against_the_order_of_ids(ledger)
    larger, smaller = (entry.id for entry in dispatches)
    async with ledger.database.transaction() as claiming:
        await claiming.execute(LOCK, smaller)
        confirming = asyncio.create_task(ledger.outbox.dispatched(dispatches))
        await waits_for_a_lock(ledger)
        await claiming.execute(LOCK, larger)
    await confirming
    assert [(await ledger.row(id))["dispatch_at"] for id in (larger, smaller)] == [None, None]


async def test_a_confirm_locks_an_entry_after_its_notification(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    dispatches = await ledger.outbox.take(10, actor="s")
    async with ledger.database.transaction() as deciding:
        await enter(deciding, [attempt.id], "RabbitMQ is away")
    async with ledger.database.transaction() as deciding:
        await deciding.execute(LOCK, attempt.id)
        confirming = asyncio.create_task(ledger.outbox.dispatched(dispatches))
        await waits_for_a_lock(ledger)
        await deciding.execute(f"{ENTRY} FOR UPDATE NOWAIT", attempt.id)
    await confirming
    [entry] = await ledger.fetch(ENTRY, attempt.id)
    assert entry["published_at"] is not None


async def waits_for_a_lock(ledger: LedgerRig) -> None:
    async with asyncio.timeout(10):
        while not await ledger.fetch("SELECT FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


async def test_a_confirm_clears_it(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    await ledger.outbox.dispatched(await ledger.outbox.take(10, actor="s", lease=-1.0))
    row = await ledger.row(attempt.id)
    assert (row["state"], row["dispatch_at"]) == ("queued", None)
    assert await taken(ledger) == []


async def test_a_confirm_that_comes_after_the_claim_changes_nothing(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    dispatches = await ledger.outbox.take(10, actor="s")
    await ledger.claimed(attempt, "worker")
    before = await ledger.row(attempt.id)
    assert before["dispatch_at"] is None
    await ledger.outbox.dispatched(dispatches)
    assert await ledger.row(attempt.id) == before


async def test_a_confirm_of_an_earlier_epoch_leaves_the_later_one_due(
    ledger: LedgerRig,
) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    dispatches = await ledger.outbox.take(10, actor="s")
    await ledger.execute("UPDATE notifications SET epoch = 1 WHERE id = $1", attempt.id)
    async with ledger.database.transaction() as connection:
        await enter(connection, [attempt.id], "RabbitMQ is away")
    await ledger.outbox.dispatched(dispatches)
    assert (await ledger.row(attempt.id))["dispatch_at"] is not None
    assert await ledger.fetch(ENTRY, attempt.id) == [{"published_at": None}]


async def test_confirming_nothing_is_no_error(ledger: LedgerRig) -> None:
    await ledger.outbox.dispatched([])


async def test_what_was_cancelled_is_not_taken(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    await Changes(ledger.database).cancel(attempt.id, actor="a person", reason="mistake")
    assert await taken(ledger) == []


async def test_cancelling_races_the_due_time_and_one_of_them_wins(ledger: LedgerRig) -> None:
    from tidings.delivery.errors import Refused

    for _ in range(20):
        attempt = await stored(ledger)
        await falls_due(ledger, attempt.id)

        async def cancel(id: UUID = attempt.id) -> bool:
            try:
                await Changes(ledger.database).cancel(id, actor="a person", reason="mistake")
            except Refused:
                return False
            return True

        cancelled, taken_ids = await asyncio.gather(cancel(), taken(ledger))
        state = await ledger.state(attempt.id)
        assert cancelled, "what is queued can still be called off"
        assert state is State.CANCELLED
        if taken_ids:  # published all the same: its claim finds it cancelled
            await ledger.claim(request_of(attempt))
            assert await ledger.state(attempt.id) is State.CANCELLED


# When to look again.


async def test_nothing_stored_is_nothing_to_wait_for(ledger: LedgerRig) -> None:
    assert await ledger.outbox.seconds_to_next() is None


async def test_the_next_due_time_is_told_in_seconds(ledger: LedgerRig) -> None:
    await stored(ledger, 7200.0)
    await stored(ledger, 3600.0)
    seconds = await ledger.outbox.seconds_to_next()
    assert seconds is not None
    assert 3590 < seconds <= 3600


async def test_what_is_due_already_is_told_as_past(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id, ago=5.0)
    seconds = await ledger.outbox.seconds_to_next()
    assert seconds is not None
    assert -60 < seconds <= -5


async def test_what_was_taken_is_looked_at_again_when_its_lease_ends(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    await taken(ledger, lease=30.0)
    seconds = await ledger.outbox.seconds_to_next()
    assert seconds is not None
    assert 20 < seconds <= 30


async def test_what_can_t_be_taken_any_more_keeps_nobody_awake(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    for state in set(State) - PUBLISHED:
        await ledger.execute(
            "UPDATE notifications SET state = $2 WHERE id = $1", attempt.id, state.value
        )
        assert await ledger.outbox.seconds_to_next() is None, state
        assert await taken(ledger) == [], state


async def test_a_finished_one_has_nothing_due(ledger: LedgerRig) -> None:
    attempt = await stored(ledger)
    await falls_due(ledger, attempt.id)
    await taken(ledger)
    await ledger.claimed(attempt, "worker")
    await ledger.records.record([record_of(attempt, "worker", BOUNCE)])
    assert await ledger.outbox.seconds_to_next() is None
