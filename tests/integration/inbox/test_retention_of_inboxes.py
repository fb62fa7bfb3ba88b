"""Messages go after their time, read and unread ones by periods of their own, and leave tombstones for a week."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.inbox_rig import PATIENCE, message_of, revision_of, stored
from tests.support.ledger_rig import settings_of

from tidings.ledger import PostgresLedger
from tidings.ledger.inbox.purging import InboxPeriods, InboxPurging, PurgingStep

DAY = 86_400.0


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    async with PostgresLedger(settings_of(database_url), actor="scheduler") as opened:
        yield opened


async def put(ledger: PostgresLedger, title: str, user: str = "ada", **state: str) -> None:
    """Deliver a message, and set its columns by SQL."""
    message = message_of(user, title=title)
    async with ledger.inbox_deliveries() as inbox:
        await inbox.deliver(message, PATIENCE)
    async with ledger.database.connection() as connection:
        for column, value in state.items():
            await connection.execute(
                f"UPDATE inbox_messages SET {column} = {value} WHERE id = $1",  # noqa: S608
                message.id,
            )


def ago(days: int) -> str:
    return f"now() - interval '{days} days'"


async def run(ledger: PostgresLedger, periods: InboxPeriods | None = None) -> list[PurgingStep]:
    purging = InboxPurging(ledger.database, periods) if periods else ledger.inbox_purging
    return [step async for step in purging.run()]


async def test_read_and_unread_messages_have_periods_of_their_own(ledger: PostgresLedger) -> None:
    await put(ledger, "unread for 80 days", created_at=ago(80))
    await put(ledger, "unread for 100 days", created_at=ago(100))
    await put(ledger, "read for 20 days", created_at=ago(20), read_at="now()")
    await put(ledger, "read for 40 days", created_at=ago(40), read_at="now()")
    await put(ledger, "archived for 40 days", created_at=ago(40), archived_at="now()")
    await put(ledger, "snoozed for 100 days", created_at=ago(100), snoozed_until="now()")
    counted = await ledger.inbox_purging.count()

    steps = await run(ledger)

    found = await stored(ledger.database)
    assert {message.title for message in found if not message.deleted_at} == {
        "unread for 80 days",
        "read for 20 days",
        "snoozed for 100 days",
    }
    gone = [message for message in found if message.deleted_at]
    assert [(message.title, message.revision) for message in gone] == [
        (None, 7),
        (None, 8),
        (None, 9),
    ]
    assert [change.revision for step in steps for change in step.changes] == [9]
    assert (counted.stored, counted.over, counted.purged) == (6, 3, 0)


async def test_periods_of_zero_keep_messages_for_ever(ledger: PostgresLedger) -> None:
    await put(ledger, "unread", created_at=ago(10_000))
    await put(ledger, "read", created_at=ago(10_000), read_at="now()")

    assert await run(ledger, InboxPeriods(read=0, unread=0)) == []
    assert len(await run(ledger, InboxPeriods(read=DAY, unread=0))) == 1

    assert {message.title for message in await stored(ledger.database)} == {"unread", None}


async def test_tombstones_go_after_a_week_and_raise_the_floor(ledger: PostgresLedger) -> None:
    await put(ledger, "gone for long", deleted_at=ago(8))
    await put(ledger, "gone since yesterday", deleted_at=ago(1))
    await put(ledger, "gone for long as well", deleted_at=ago(9))
    await put(ledger, "of another", "bob", deleted_at=ago(1))

    assert await run(ledger) == [PurgingStep(0, 2, ())]

    assert [message.title for message in await stored(ledger.database)] == ["gone since yesterday"]
    async with ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT user_id, floor, revision FROM inbox_users")
    assert {row["user_id"]: (row["floor"], row["revision"]) for row in rows} == {
        "ada": (3, 3),
        "bob": (0, 1),
    }


async def test_rounds_at_once_beside_deliveries_neither_wait_for_ever_nor_do_it_twice(
    ledger: PostgresLedger,
) -> None:
    for number in range(20):
        await put(ledger, "old", f"user-{number % 5}", created_at=ago(200))

    rounds = asyncio.gather(*(run(ledger) for _ in range(3)))
    async with ledger.inbox_deliveries() as inbox:
        await asyncio.gather(
            *(inbox.deliver(message_of(f"user-{number % 5}"), PATIENCE) for number in range(50))
        )
    await rounds

    for number in range(5):
        assert await revision_of(ledger.database, f"user-{number}") == 4 + 4 + 10
