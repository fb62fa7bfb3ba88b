"""PostgreSQL killed and started again under a ledger: an honest error, then success, nothing twice."""

import asyncio
from collections.abc import Iterator
from typing import TypeAlias

import asyncpg
import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig, record_of, request_of, settings_of

from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.outcome import Claimed, Sent
from tidings.ledger import PostgresLedger, migrate
from tidings_local.postgres import PostgreSQL

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

COUNTS = """
SELECT (SELECT count(*) FROM notifications WHERE state = 'sent') AS sent,
       (SELECT count(*) FROM attempts) AS attempts, (SELECT count(*) FROM transitions) AS changes
"""
SENT = Sent("smtp:relay", "queued as 4711", "250")


@pytest.fixture
def own_database(own_postgresql: PostgreSQL) -> Iterator[str]:
    yield own_postgresql.create_database("restarts")
    own_postgresql.drop_database("restarts")


async def patiently_claimed(ledger: PostgresLedger, attempt: Attempt) -> tuple[int, object]:
    """How often PostgreSQL was away, and the claim in the end."""
    request, failures = request_of(attempt, f"token {attempt.id}"), 0
    async with asyncio.timeout(60):
        while True:
            try:
                return failures, await ledger.claim(request)
            except LedgerUnavailable:
                failures += 1
                await asyncio.sleep(0.05)


async def patiently_recorded(ledger: PostgresLedger, attempt: Attempt) -> tuple[int, bool]:
    record, failures = record_of(attempt, f"token {attempt.id}", SENT), 0
    async with asyncio.timeout(60):
        while True:
            try:
                return failures, await ledger.record(record)
            except LedgerUnavailable:
                failures += 1
                await asyncio.sleep(0.05)


async def hold_up(database_url: str) -> Connection:
    """Whatever writes to the tables waits for this lock, so that the end finds it under way."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("BEGIN; LOCK TABLE notifications, attempts IN SHARE MODE")
    return connection


async def some_wait_for_a_lock(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(20):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.02)
    await connection.close()


async def test_a_restart_in_the_middle_of_claims_and_records_does_nothing_twice(
    own_postgresql: PostgreSQL, own_database: str
) -> None:
    await migrate(own_database)
    attempts = [attempt_of() for _ in range(300)]
    settings = settings_of(own_database, batch_size=20, database_timeout=5.0)

    async def restart() -> None:
        await asyncio.to_thread(own_postgresql.kill)
        await asyncio.to_thread(own_postgresql.start)

    async with PostgresLedger(settings, actor="worker a") as ledger:
        blocker = await hold_up(own_database)
        claims = [asyncio.create_task(patiently_claimed(ledger, attempt)) for attempt in attempts]
        await some_wait_for_a_lock(own_database)
        await restart()
        answers = await asyncio.gather(*claims)
        blocker.terminate()
        assert all(claim == Claimed() for _, claim in answers)
        assert any(failures for failures, _ in answers), "none was under way"

        blocker = await hold_up(own_database)
        records = [asyncio.create_task(patiently_recorded(ledger, attempt)) for attempt in attempts]
        await some_wait_for_a_lock(own_database)
        await restart()
        recorded = await asyncio.gather(*records)
        blocker.terminate()
        assert all(ours for _, ours in recorded)
        assert any(failures for failures, _ in recorded), "none was under way"

        [counted] = await LedgerRig(ledger.database).fetch(COUNTS)
    assert counted == {"sent": 300, "attempts": 300, "changes": 0}


async def test_whoever_listens_on_a_lost_connection_hears_of_it_and_can_be_stopped(
    ledger: LedgerRig,
) -> None:
    wake, heard = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def listen() -> None:
        async with ledger.database.listening("tidings_due", wake) as listens:
            heard.set_result(listens)
            await asyncio.Event().wait()

    task = asyncio.create_task(listen())
    async with asyncio.timeout(10):
        listens = await heard
        assert listens()
        await ledger.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        await wake.wait()
        assert not listens()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
