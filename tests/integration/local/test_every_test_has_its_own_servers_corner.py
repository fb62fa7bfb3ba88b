"""The fixtures every other integration test stands on."""

from collections.abc import AsyncIterator

import aio_pika
import asyncpg
import pytest

from tidings_local.management import Management


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_virtual_host_is_fresh(broker_url: str, management: Management, turn: int) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        assert await management.queues() == []
        await channel.declare_queue("left-over", durable=True)
        assert [queue["name"] for queue in await management.queues()] == ["left-over"]


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_migrated_database_is_fresh(database_url: str, turn: int) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM notifications") == 0
        await connection.execute("CREATE TABLE left_over (n int)")
    finally:
        await connection.close()


async def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await connection.fetch("SELECT * FROM pg_tables WHERE schemaname = 'public'") == []
    finally:
        await connection.close()


@pytest.fixture
async def closed_last() -> AsyncIterator[list[asyncpg.Connection]]:
    """Connections that are still open when the database of the test is dropped."""
    connections: list[asyncpg.Connection] = []
    yield connections
    for connection in connections:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()


async def test_a_connection_left_open_does_not_keep_a_database(
    closed_last: list[asyncpg.Connection], empty_database_url: str
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    closed_last.append(connection)
    assert await connection.fetchval("SELECT 1") == 1
