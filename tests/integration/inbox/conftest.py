"""Inboxes on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ledger_rig import settings_of

from tidings.ledger.database import PostgresDatabase


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresDatabase]:
    """Connections to it."""
    async with PostgresDatabase(settings_of(database_url)) as opened:
        yield opened
