"""A running API on a database that these tests share, asked over HTTP; RabbitMQ is not there."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from tests.conftest import fresh_database
from tests.support.api_rig import ApiRig, serving
from tests.support.user_tokens import VARIABLES

from tidings.settings import Settings

NOWHERE = "amqp://127.0.0.1:1"


@pytest.fixture(scope="session")
def shared_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """One database for all who only look at keys and notifications of their own."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_settings(shared_database_url: str) -> Iterator[Settings]:
    """The settings of `api`."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDINGS_AMQP_URL", NOWHERE)
        environment.setenv("TIDINGS_DATABASE_URL", shared_database_url)
        environment.setenv("TIDINGS_API_LISTEN", "127.0.0.1:0")
        for name, value in VARIABLES.items():
            environment.setenv(name, value)
        yield Settings().check()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(module_settings: Settings) -> AsyncIterator[ApiRig]:
    """The API, ready, for all tests of a module."""
    async with serving(module_settings) as rig:
        yield rig


@pytest.fixture
def environment(shared_database_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of an API of the test's own, to which it adds its variables."""
    monkeypatch.setenv("TIDINGS_AMQP_URL", NOWHERE)
    monkeypatch.setenv("TIDINGS_DATABASE_URL", shared_database_url)
    monkeypatch.setenv("TIDINGS_API_LISTEN", "127.0.0.1:0")
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return monkeypatch
