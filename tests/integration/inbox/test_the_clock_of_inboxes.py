"""Snoozes end and messages expire by themselves, once, whichever scheduler is alive; each is a change like any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.inbox_rig import PATIENCE, KeptHints, message_of, revision_of, stored
from tests.support.ledger_rig import settings_of
from tests.support.worker_rig import eventually

from tidings.delivery.inbox import InboxChange, InboxMessage
from tidings.ledger import PostgresLedger
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.waking import InboxClock
from tidings.scheduler.inboxes import keep_inboxes_for_ever


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    async with PostgresLedger(settings_of(database_url), actor="scheduler") as opened:
        yield opened


async def put(ledger: PostgresLedger, *messages: InboxMessage, **state: str) -> None:
    """Deliver messages, and set columns of all that are stored by SQL."""
    async with ledger.inbox_deliveries() as inbox:
        await asyncio.gather(*(inbox.deliver(message, PATIENCE) for message in messages))
    async with ledger.database.connection() as connection:
        for column, value in state.items():
            await connection.execute(f"UPDATE inbox_messages SET {column} = {value}")  # noqa: S608


async def test_a_snooze_that_ends_brings_its_message_back_on_top(ledger: PostgresLedger) -> None:
    first, second = message_of(title="first"), message_of(title="second")
    await put(ledger, first, snoozed_until="now() - interval '1 second'")
    await put(ledger, second)

    changes, more = await ledger.inbox_clock.turn()

    found = {message.title: message for message in await stored(ledger.database)}
    assert found["first"].snoozed_until is None
    assert found["first"].position == found["first"].revision == 3
    assert found["second"].position == 2
    assert changes == [InboxChange("default", "ada", 3)]
    assert more
    assert await ledger.inbox_clock.turn() == ((), False)


async def test_a_message_that_expires_leaves_a_tombstone(ledger: PostgresLedger) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=50)
    await put(ledger, message_of(body="secret", data='{"a": 1}', expires_at=soon), message_of())
    await asyncio.sleep(0.06)

    changes, _ = await ledger.inbox_clock.turn()

    kept, gone = await stored(ledger.database)
    assert kept.deleted_at is None
    assert gone.deleted_at is not None
    assert (gone.title, gone.body, gone.data, gone.revision) == (None, None, None, 3)
    assert changes == [InboxChange("default", "ada", 3)]


async def test_nothing_is_done_before_its_time_nor_to_what_was_archived_or_deleted(
    ledger: PostgresLedger,
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await put(ledger, message_of(expires_at=ahead), snoozed_until="now() + interval '1 hour'")
    assert await ledger.inbox_clock.turn() == ((), False)
    await put(
        ledger, snoozed_until="now() - interval '1 hour'", expires_at="now()", deleted_at="now()"
    )

    assert await ledger.inbox_clock.turn() == ((), False)
    assert await revision_of(ledger.database) == 1


async def test_batches_are_bounded_and_go_on_until_all_is_done(ledger: PostgresLedger) -> None:
    users = [f"user-{number % 7}" for number in range(25)]
    await put(ledger, *map(message_of, users), snoozed_until="now() - interval '1 second'")

    turns = 0
    while (await ledger.inbox_clock.turn(at_once=10))[1]:
        turns += 1

    assert turns == 3
    async with ledger.database.connection() as connection:
        left = await connection.fetchval("SELECT count(snoozed_until) FROM inbox_messages")
        unlike = await connection.fetchval(
            "SELECT count(*) - count(DISTINCT (user_id, revision)) FROM inbox_messages"
        )
    assert (left, unlike) == (0, 0)


async def test_five_schedulers_at_once_make_each_change_once(
    ledger: PostgresLedger, database_url: str
) -> None:
    users = [f"user-{number % 50}" for number in range(400)]
    await put(ledger, *map(message_of, users), snoozed_until="now() - interval '1 second'")
    before = await _revisions(ledger)

    async with AsyncExitStack() as stack:
        clocks = [
            InboxClock(await stack.enter_async_context(PostgresDatabase(settings_of(database_url))))
            for _ in range(5)
        ]
        # Marks and deliveries go on meanwhile: none of them waits for another for ever.
        await asyncio.gather(
            *(_all_turns(clock) for clock in clocks), put(ledger, *map(message_of, users[:100]))
        )

    after = await _revisions(ledger)
    assert sum(after.values()) == sum(before.values()) + 400 + 100


async def _all_turns(clock: InboxClock) -> None:
    while await clock.seconds_to_next() is not None:
        await clock.turn(at_once=20)


async def _revisions(ledger: PostgresLedger) -> dict[str, int]:
    async with ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT user_id, revision FROM inbox_users")
    return {row["user_id"]: row["revision"] for row in rows}


async def test_a_scheduler_that_is_killed_in_the_middle_leaves_the_rest_to_another(
    ledger: PostgresLedger, database_url: str
) -> None:
    await put(ledger, *(message_of() for _ in range(30)), snoozed_until="now()")
    async with PostgresDatabase(settings_of(database_url)) as dying:
        turning = asyncio.create_task(InboxClock(dying).turn())
        async with ledger.database.connection() as connection:
            await asyncio.sleep(0.003)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
            )
        await asyncio.gather(turning, return_exceptions=True)

    while (await ledger.inbox_clock.turn())[1]:
        continue

    found = await stored(ledger.database)
    assert [message.snoozed_until for message in found] == [None] * 30
    assert [message.revision for message in found] == list(range(31, 61))


async def test_a_scheduler_ends_a_snooze_within_a_second_and_announces_it(
    ledger: PostgresLedger,
) -> None:
    hints = KeptHints()
    keeping = asyncio.create_task(keep_inboxes_for_ever(ledger, hints))
    await put(ledger, message_of(), snoozed_until="now() + interval '0.3 seconds'")
    try:
        await eventually(lambda: hints.changes, within=2)
    finally:
        keeping.cancel()

    (found,) = await stored(ledger.database)
    assert found.snoozed_until is None
    assert hints.changes == [InboxChange("default", "ada", 2)]
