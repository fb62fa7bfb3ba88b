"""A short run of the fault harness: real processes, killed at each step, and everything counted."""

from pathlib import Path

import pytest
from tests.chaos.scenario import REGISTRY, run
from tests.chaos.scenarios import workers
from tests.chaos.servers import Servers
from tests.chaos.world import Options
from tests.support.processes import tidings

from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ


@pytest.mark.timeout(300)
async def test_a_worker_killed_at_each_step_loses_nothing_and_repeats_no_more_than_was_in_flight(
    own_rabbitmq: RabbitMQ, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    servers = Servers(own_rabbitmq, own_postgresql, tmp_path)
    chosen = REGISTRY["killed-at-each-step"]
    result = await run(servers, chosen, Options(270, 7, tmp_path / "run"))
    assert result.passed, result.as_data()
    assert result.verdict.confirmed == 270
    assert set(result.faults) == {f"killed {step}" for step in workers.STEPS}


async def test_a_failpoint_that_does_not_exist_is_refused_by_name() -> None:
    env = {
        "TIDINGS_EMAIL_HOST": "127.0.0.1",
        "TIDINGS_EMAIL_TLS": "none",
        "TIDINGS_EMAIL_SENDER": "no-reply@example.com",
        "TIDINGS_FAILPOINTS": "after-lunch=kill@3",
    }
    finished = await tidings("worker", env=env)
    assert finished.code == 2
    assert "after-lunch" in finished.err
    assert "after-send" in finished.err
    assert "Traceback" not in finished.err
