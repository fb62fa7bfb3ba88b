"""A running console on a database that these tests share; RabbitMQ is not there."""

import base64
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.conftest import fresh_database
from tests.support.console_rig import ConsoleRig, console_serving
from tests.support.user_tokens import VARIABLES

from tidings.settings import Settings


@pytest.fixture(scope="session")
def console_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """One database for all who only look at what they made."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def console_settings(console_database_url: str) -> Iterator[Settings]:
    """The settings of `console`."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDINGS_AMQP_URL", "amqp://127.0.0.1:1")
        environment.setenv("TIDINGS_DATABASE_URL", console_database_url)
        environment.setenv("TIDINGS_API_LISTEN", "127.0.0.1:0")
        environment.setenv("TIDINGS_SEALING_KEYS", base64.b64encode(b"k" * 32).decode())
        for name, value in VARIABLES.items():
            environment.setenv(name, value)
        yield Settings().check()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(console_settings: Settings) -> AsyncIterator[ConsoleRig]:
    """The console, ready, for all tests of a module."""
    async with console_serving(console_settings) as rig:
        yield rig
