"""The ledger's parts, on a database that these tests share, or on one of the test's own."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.conftest import fresh_database
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.ledger.database import PostgresDatabase


@pytest.fixture(scope="session")
def shared_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """One database for all who only look at notifications of their own."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest.fixture
async def ledger(shared_database_url: str) -> AsyncIterator[LedgerRig]:
    """The parts that a worker has, sharing a pool; others have left rows in the tables."""
    async with PostgresDatabase(settings_of(shared_database_url)) as database:
        yield LedgerRig(database)


@pytest.fixture(scope="session")
def emptied_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """One database for all who want the tables empty when they begin."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest.fixture
async def ledger_alone(emptied_database_url: str) -> AsyncIterator[LedgerRig]:
    """The same parts, and the tables are empty."""
    async with PostgresDatabase(settings_of(emptied_database_url)) as database:
        rig = LedgerRig(database)
        await rig.execute(
            "TRUNCATE notifications, attempts, transitions, idempotency_holders, dead_letters, processes,"
            " outcome_deltas, outcome_rollups, channel_rollups, rollup_categories, dead_letter_deltas, open_dead_letters,"
            " dead_letter_hours, dead_letter_categories"
        )
        yield rig
