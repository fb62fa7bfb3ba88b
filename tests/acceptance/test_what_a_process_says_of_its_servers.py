"""A process tells Prometheus whether it reaches RabbitMQ and PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from tests.conftest import execute
from tests.support.processes import Role, running
from tests.support.worker_rig import eventually

from tidings.ledger import migrate
from tidings_events import EmailNotification, Producer
from tidings_local.management import Management
from tidings_local.postgres import PostgreSQL

Env = dict[str, str]


@pytest.fixture
async def own_env(env: Env, own_postgresql: PostgreSQL) -> Env:
    """A database on a PostgreSQL that may be stopped."""
    await execute(own_postgresql.url(), "DROP DATABASE IF EXISTS told WITH (FORCE)")
    await execute(own_postgresql.url(), "CREATE DATABASE told")
    url = own_postgresql.url("told")
    await migrate(url)
    return {**env, "TIDINGS_DATABASE_URL": url}


async def metric(role: Role, name: str) -> str:
    """A metric's value as it is written."""
    lines = (await asyncio.to_thread(role.get, "/metrics")).splitlines()
    return next(line.split()[-1] for line in lines if line.startswith(f"{name} "))


async def becomes(role: Role, name: str, value: str) -> None:
    async def has_become() -> bool:
        return await metric(role, name) == value

    await eventually(has_become, within=30)


async def test_a_process_tells_when_postgresql_is_away_and_when_it_is_back(
    own_env: Env, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    async with running("worker", env=own_env, log=tmp_path / "worker.log") as worker:
        assert await metric(worker, "tidings_ledger_up") == "1.0"
        await asyncio.to_thread(own_postgresql.stop)
        async with Producer(own_env["TIDINGS_AMQP_URL"]) as producer:
            await producer.publish(
                EmailNotification(recipient="ada@example.com", subject="Hello", body="Hello")
            )
        await becomes(worker, "tidings_ledger_up", "0.0")
        await asyncio.to_thread(own_postgresql.start)
        await becomes(worker, "tidings_ledger_up", "1.0")


async def test_a_process_tells_when_rabbitmq_is_away_and_when_it_is_back(
    env: Env, management: Management, tmp_path: Path
) -> None:
    async with running("all", env=env, log=tmp_path / "all.log") as everything:
        await becomes(everything, "tidings_broker_up", "1.0")
        await management.delete()
        await becomes(everything, "tidings_broker_up", "0.0")
        await management.create()
        await becomes(everything, "tidings_broker_up", "1.0")
