"""A short run of the fault harness: real processes, killed at each step, and everything counted."""

from pathlib import Path

import pytest
from tests.chaos.scenario import REGISTRY, run
from tests.chaos.scenarios import workers
from tests.chaos.servers import Servers
from tests.chaos.world import Options

from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ


@pytest.mark.timeout(300)
async def test_a_worker_killed_at_each_step_loses_nothing_and_repeats_no_more_than_was_in_flight(
    own_rabbitmq: RabbitMQ, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    servers = Servers(own_rabbitmq, own_postgresql, tmp_path)
    chosen = REGISTRY["killed-at-each-step"]
    result = await run(servers, chosen, Options(270, 7, tmp_path / "run", forks=True))
    assert result.passed, result.as_data()
    assert result.verdict.confirmed == 270
    assert set(result.faults) == {f"killed {step}" for step in workers.STEPS}
