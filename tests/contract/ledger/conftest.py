"""A database for the contract that PostgreSQL and its stand-in in memory both keep."""

from collections.abc import AsyncIterator

import pytest
from tests.contract.ledger.both_sides import OnPostgreSQL
from tests.support.ledger_rig import settings_of

from tidings.ledger.database import PostgresDatabase


@pytest.fixture
async def on_postgresql(database_url: str) -> AsyncIterator[OnPostgreSQL]:
    """The ledger's parts on a database of the test's own."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        yield OnPostgreSQL(database)
