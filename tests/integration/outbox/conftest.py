"""A producer's database with an outbox."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.conftest import fresh_database
from tests.support.outbox_rig import OutboxRig, outbox_rig


@pytest.fixture(scope="session")
def producer_url(postgresql_url: str) -> Iterator[str]:
    """A database for all of these tests; each has a schema of its own in it."""
    with fresh_database(postgresql_url) as url:
        yield url


@pytest.fixture
async def rig(producer_url: str, broker_url: str) -> AsyncIterator[OutboxRig]:
    async with outbox_rig(producer_url, broker_url) as rig:
        yield rig
