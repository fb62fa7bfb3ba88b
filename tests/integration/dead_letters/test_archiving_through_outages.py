"""Whatever fails while dead letters are archived, none is lost and none is acknowledged too early."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from tests.integration.dead_letters.conftest import MakeRig
from tests.support.dead_letter_rig import DeadLetterRig, rejected, written
from tests.support.worker_rig import eventually

from tidings.broker.adaptive_prefetch import WINDOW
from tidings.broker.topology.layout import DEAD
from tidings.ledger import migrate
from tidings_local.management import Management
from tidings_local.postgres import PostgreSQL


@pytest.fixture
async def own_database_url(own_postgresql: PostgreSQL) -> AsyncIterator[str]:
    """A migrated database on a server that the test may stop."""
    name = f"archive_{secrets.token_hex(4)}"
    url = own_postgresql.create_database(name)
    await migrate(url)
    yield url
    own_postgresql.start()
    own_postgresql.drop_database(name)


async def test_dead_letters_wait_in_their_queue_while_postgresql_is_away(
    make_rig: MakeRig, own_postgresql: PostgreSQL, own_database_url: str, management: Management
) -> None:
    rig = await make_rig(TIDINGS_DATABASE_URL=own_database_url, TIDINGS_DATABASE_TIMEOUT="2s")
    async with rig.archiving() as archive:
        for _ in range(WINDOW + 1):  # after so many small ones it holds as many as it may
            await rig.make_dead_letter()
        await rig.dead_letters(WINDOW + 1)
        await asyncio.to_thread(own_postgresql.kill)
        for _ in range(50):
            await rig.make_dead_letter()
        await eventually(lambda: not archive.ready)

        async def held() -> bool:
            return bool((await management.queue(DEAD)).get("messages_unacknowledged", 0) >= 50)

        await eventually(held, within=30)
        await asyncio.to_thread(own_postgresql.start)
        await rig.dead_letters(WINDOW + 51, within=30)
        await eventually(lambda: archive.ready)
    assert len(await rig.dead_letters(WINDOW + 51)) == WINDOW + 51
    assert await rig.depth(DEAD) == 0


async def test_an_archive_that_stops_while_postgresql_is_away_leaves_dead_letters_to_the_next(
    make_rig: MakeRig, own_postgresql: PostgreSQL, own_database_url: str
) -> None:
    rig = await make_rig(TIDINGS_DATABASE_URL=own_database_url, TIDINGS_DATABASE_TIMEOUT="2s")
    async with rig.archiving() as archive:
        await asyncio.to_thread(own_postgresql.stop)
        for _ in range(5):
            await rig.make_dead_letter()
        await eventually(lambda: not archive.ready)
    await asyncio.to_thread(own_postgresql.start)

    async def put_back() -> bool:
        return await rig.depth(DEAD) == 5

    await eventually(put_back)
    async with rig.archiving():
        await rig.dead_letters(5)


async def test_dead_letters_survive_the_loss_of_the_archives_connection(
    rig: DeadLetterRig, management: Management
) -> None:
    async with rig.archiving():
        for _ in range(100):
            await rig.make_dead_letter()
        await rig.dead_letters(1)
        for connection in await management.connections():
            if "archive" in str(connection.get("user_provided_name", connection)):
                await management.close_connections()
                break
        await rig.dead_letters(100, within=30)
    assert len(await rig.dead_letters(100)) == 100


async def test_two_archives_share_the_queue_and_store_each_dead_letter_once(
    rig: DeadLetterRig,
) -> None:
    bodies = [written() for _ in range(100)]
    async with rig.archiving("one"), rig.archiving("two"):
        for body in bodies:
            await rig.make_dead_letter(body)
            await rig.make_dead_letter(body, outcome=rejected())
        await rig.dead_letters(100)

        async def empty() -> bool:
            return await rig.depth(DEAD) == 0

        await eventually(empty)
    assert len(await rig.dead_letters(100)) == 100


async def test_tables_that_are_missing_are_waited_for(
    make_rig: MakeRig, empty_database_url: str
) -> None:
    rig = await make_rig(TIDINGS_DATABASE_URL=empty_database_url)
    async with rig.archiving() as archive:
        await rig.make_dead_letter()
        await eventually(lambda: not archive.ready)
        await migrate(empty_database_url)
        await rig.dead_letters(1, within=30)


async def test_whatever_in_a_dead_letter_can_t_be_stored_its_bytes_are(rig: DeadLetterRig) -> None:
    """A rule of the database that nobody foresaw."""
    await rig.fetch(
        "ALTER TABLE dead_letters ADD CHECK (recipient IS NULL OR recipient <> 'ada@example.com')"
    )
    body = written()
    async with rig.archiving():
        await rig.make_dead_letter(body)
        await rig.make_dead_letter(written(recipient="grace@example.com"))
        rows = await rig.dead_letters(2)
    (kept,) = (row for row in rows if row["kind"] == "unstorable")
    assert bytes(kept["body"]) == body  # type: ignore[arg-type]
    assert kept["reason"] == "rejected"
