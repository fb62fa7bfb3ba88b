"""Statements are planned again and again: a plan made for an empty week would read all of it later."""

import asyncio

import pytest
from tests.support.ledger_rig import settings_of

from tidings.ledger import database
from tidings.ledger.database import PostgresDatabase


async def test_a_statement_is_soon_planned_anew(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PLANNED_FOR", 0.2)
    statement = "SELECT max(prepare_time) FROM pg_prepared_statements"
    async with (
        PostgresDatabase(settings_of(database_url), application="reader") as reader,
        reader.connection() as connection,
    ):
        planned = await connection.fetchval(statement)
        assert await connection.fetchval(statement) == planned
        await asyncio.sleep(0.3)
        assert await connection.fetchval(statement) > planned
