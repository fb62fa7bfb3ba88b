"""The environment of a command: the test's own broker and database, nothing else."""

from pathlib import Path

import pytest
from tests.conftest import BrokerAddress
from tests.support.broker_rig import ONE_TIER


@pytest.fixture
def env(
    broker_url: str, broker_address: BrokerAddress, database_url: str, tmp_path: Path
) -> dict[str, str]:
    return {
        **ONE_TIER,
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_MANAGEMENT_URL": broker_address.management_url,
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_TEMPLATES_ROOT": str(tmp_path / "templates"),
        "TIDINGS_CATEGORIES": "{}",
    }


@pytest.fixture
def away() -> dict[str, str]:
    """An environment in which nothing answers."""
    return {
        "TIDINGS_AMQP_URL": "amqp://tidings:hunter2@127.0.0.1:1",
        "TIDINGS_MANAGEMENT_URL": "http://tidings:hunter2@127.0.0.1:1",
        "TIDINGS_DATABASE_URL": "postgresql://tidings:hunter2@127.0.0.1:1/tidings",
    }
