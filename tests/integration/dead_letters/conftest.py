"""Rigs for the tests of dead letters."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aio_pika
import pytest
from tests.support import forked
from tests.support.broker_rig import ONE_TIER
from tests.support.dead_letter_rig import DeadLetterRig, environment_of
from tests.support.processes import Finished

from tidings.settings import Settings

MakeRig = Callable[..., Awaitable[DeadLetterRig]]
Tidings = Callable[..., Awaitable[Finished]]


@pytest.fixture
def broker_url(lent_broker_url: str) -> str:
    """The topology is there, and others have worked in it."""
    return lent_broker_url


@pytest.fixture
async def make_rig(
    broker_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeRig]:
    """`await make_rig(TIDINGS_EMAIL_RETRY="1s 2s")`: a rig with these settings, its topology declared."""
    monkeypatch.setenv("TIDINGS_AMQP_URL", broker_url)
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    for name, value in ONE_TIER.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TIDINGS_CATEGORIES", "{}")
    async with AsyncExitStack() as stack:

        async def make(**variables: str) -> DeadLetterRig:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            connection = await aio_pika.connect(broker_url)
            stack.push_async_callback(connection.close)
            channel = await connection.channel()
            made = DeadLetterRig(Settings(), tmp_path, channel)
            rig = await stack.enter_async_context(made)
            async with rig.declared():
                return rig

        yield make


@pytest.fixture
async def rig(make_rig: MakeRig) -> DeadLetterRig:
    """A rig with one retry, after a second."""
    return await make_rig()


@pytest.fixture
def tidings(rig: DeadLetterRig) -> Tidings:
    """Run a command in a process of its own, with the settings of the rig."""

    async def run(*arguments: str, stdin: bytes = b"", **variables: str) -> Finished:
        env = {**environment_of(rig), "COLUMNS": "200", **variables}
        return await forked.tidings(*arguments, env=env, stdin=stdin)

    return run
