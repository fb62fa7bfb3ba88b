"""Rigs for the tests of the worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aio_pika
import pytest
from tests.support.broker_rig import ONE_TIER
from tests.support.worker_rig import Rig

from tidings.settings import Settings

MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture
def broker_url(lent_broker_url: str) -> str:
    """The topology is there, and others have worked in it."""
    return lent_broker_url


@pytest.fixture
async def make_rig(
    broker_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeRig]:
    """`await make_rig(TIDINGS_EMAIL_RETRY="1s 2s")`: a rig with these settings."""
    monkeypatch.setenv("TIDINGS_AMQP_URL", broker_url)
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    for name, value in {**ONE_TIER, "TIDINGS_EMAIL_RETRY": "1s 2s"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TIDINGS_CATEGORIES", "{}")
    async with AsyncExitStack() as stack:

        async def make(**variables: str) -> Rig:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            connection = await aio_pika.connect(broker_url)
            stack.push_async_callback(connection.close)
            channel = await connection.channel()
            return await stack.enter_async_context(Rig(Settings(), tmp_path, channel))

        yield make


@pytest.fixture
async def rig(make_rig: MakeRig) -> Rig:
    """A rig with retries after one and two seconds."""
    return await make_rig()
