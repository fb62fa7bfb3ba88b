"""PgBouncer in front of PostgreSQL: fine where a session is ours alone, refused where it is not."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import request_of, settings_of
from tests.support.pgbouncer import pgbouncer

from tidings.delivery.errors import ConfigurationError
from tidings.delivery.outcome import Claimed
from tidings.delivery.ports import Verdict
from tidings.ledger import PostgresLedger, migrate, migration_state
from tidings.ledger.connecting import MixedSessions, connect
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.diagnosis import diagnose

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


@pytest.mark.parametrize("round_robin", [False, True])
async def test_a_pooler_in_transaction_mode_is_refused_with_what_to_do(
    server_directory: Path, database_url: str, round_robin: bool
) -> None:
    with pgbouncer(
        server_directory, database_url, "transaction", round_robin=round_robin
    ) as pooled:
        async with PostgresLedger(settings_of(pooled), actor="worker a") as ledger:
            with pytest.raises(ConfigurationError, match="pool_mode=session"):
                await ledger.claim(request_of(attempt_of()))
        for at_start in (migration_state, migrate):
            with pytest.raises(MixedSessions, match="pool_mode=session"):
                await at_start(pooled)
        [finding] = await diagnose(settings_of(pooled))
        assert finding.verdict is Verdict.FAULT
        assert "pool_mode=session" in finding.remedy


async def test_a_pooler_in_session_mode_does_no_harm(
    server_directory: Path, database_url: str
) -> None:
    with pgbouncer(server_directory, database_url, "session") as pooled:
        async with PostgresLedger(settings_of(pooled), actor="worker a") as ledger:
            assert await ledger.claim(request_of(attempt_of())) == Claimed()
        findings = await diagnose(settings_of(pooled))
        assert Verdict.FAULT not in {finding.verdict for finding in findings}


async def test_a_pooler_with_no_more_sessions_than_our_pool_is_enough(
    server_directory: Path, database_url: str
) -> None:
    with pgbouncer(server_directory, database_url, "session", sessions=6) as pooled:
        settings = settings_of(pooled, database_pool_size=6, database_timeout=10.0)
        async with PostgresDatabase(settings) as database, AsyncExitStack() as stack:
            every = [stack.enter_async_context(database.connection()) for _ in range(6)]
            for connection in await asyncio.gather(*every):
                assert await connection.fetchval("SELECT 1") == 1


async def test_who_finds_no_second_session_leaves_none_behind(
    server_directory: Path, database_url: str
) -> None:
    with pgbouncer(server_directory, database_url, "session", sessions=2) as pooled:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await connect(pooled, timeout=1)
        connection = await connect(pooled, timeout=5, known=True)
        await connection.close()
