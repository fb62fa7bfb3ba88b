"""A virtual host of the test's own, seen by another client than Tidings."""

from collections.abc import AsyncIterator

import pytest
from tests.support.broker_rig import BrokerRig, broker_rig


@pytest.fixture
async def rig(broker_url: str) -> AsyncIterator[BrokerRig]:
    """Nothing is declared yet."""
    async with broker_rig(broker_url) as rig:
        yield rig


@pytest.fixture
async def declared(rig: BrokerRig) -> BrokerRig:
    """The topology of one channel with a retry queue of a second."""
    await rig.declare()
    return rig
