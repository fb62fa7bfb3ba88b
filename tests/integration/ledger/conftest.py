"""The ledger's parts on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.ledger.database import Database


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[LedgerRig]:
    """The parts that a worker has, sharing a pool."""
    async with Database(settings_of(database_url)) as database:
        yield LedgerRig(database)
