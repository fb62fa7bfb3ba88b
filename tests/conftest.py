"""Real servers for the tests: RabbitMQ and PostgreSQL, started once a session when first asked for.

With TIDINGS_TEST_AMQP_URL, TIDINGS_TEST_MANAGEMENT_URL and TIDINGS_TEST_DATABASE_URL set
(`python -m tidings_local.stack` prints them) a running stack is used instead. Every test has a
database of its own, and a virtual host, or one that was left as it was found: tests don't see each
other either way.
"""

import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from tests.support import array_types, no_authorities
from tests.support.apart import run_apart
from tests.support.cheap_password import verifier
from tests.support.leftovers import folder_of_a_run
from tests.support.order import spread
from tests.support.other_debian import RabbitMQInFolder, folder_of, postgresql_home

from tidings_local.errors import NotInstalled, StartFailed
from tidings_local.management import Management
from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ
from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.webhook import WebhookSink

if TYPE_CHECKING:
    from tests.support.virtual_hosts import VirtualHosts


PLAIN = structlog.dev.ConsoleRenderer(
    colors=False, exception_formatter=structlog.dev.plain_traceback
)


STATISTICS = 2.0
"""Seconds after which RabbitMQ looks at its queues again: with all of them twice a second it is never idle."""

array_types.make_known()
no_authorities.trust_none()


@dataclass(frozen=True)
class BrokerAddress:
    """Where a RabbitMQ is."""

    amqp_url: str
    management_url: str
    server: RabbitMQ | None = None
    """Where we started it."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what lives till the end: ten thousand tests, a second for each `collect()`."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, each kind is spread over the run."""
    if hasattr(config, "workerinput"):
        items[:] = spread(items)


@pytest.fixture(autouse=True)
def _log_as_nobody_configured() -> Iterator[None]:
    """A command that a test runs in this process configures logging for the tests that follow."""
    log_plainly()
    yield
    log_plainly()


def log_plainly() -> None:
    """As structlog does by itself, except that rich renders no exception: that takes 0.13 s of CPU for each."""
    structlog.reset_defaults()
    *processors, _ = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors, PLAIN])


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A directory for the servers' data that PostgreSQL's own user can reach, unlike tmp_path."""
    with folder_of_a_run(memory_folder() or Path(tempfile.gettempdir())) as directory:
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="session")
def broker_address(request: pytest.FixtureRequest) -> Iterator[BrokerAddress]:
    """The RabbitMQ that the tests share; they never stop it."""
    amqp, management = (os.environ.get(f"TIDINGS_TEST_{it}_URL") for it in ("AMQP", "MANAGEMENT"))
    if amqp and management:
        yield BrokerAddress(amqp, management)
        return
    directory: Path = request.getfixturevalue("server_directory")
    rabbitmq = RabbitMQ(directory / "rabbitmq", statistics_interval=STATISTICS, spinning=False)
    try:
        rabbitmq.start()
    except StartFailed:  # somebody else took one of its ports: it takes others
        rabbitmq.start()
    yield BrokerAddress(rabbitmq.amqp_url, rabbitmq.management_login_url, rabbitmq)
    rabbitmq.close()


@pytest.fixture(scope="session")
def postgresql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The PostgreSQL that the tests share; they never stop it."""
    if url := os.environ.get("TIDINGS_TEST_DATABASE_URL"):
        yield url
        run_apart(ADMINISTRATORS.close())
        return
    directory: Path = request.getfixturevalue("server_directory")
    postgresql = PostgreSQL(directory / "postgresql", fsync=False)
    postgresql.start()
    postgresql.psql(f"ALTER ROLE {postgresql.user} PASSWORD '{verifier(postgresql.password)}'")
    yield postgresql.url()
    run_apart(ADMINISTRATORS.close())
    postgresql.close()


@pytest.fixture
def management(broker_address: BrokerAddress) -> Iterator[Management]:
    """The test's own virtual host, as an administrator sees it."""
    server = broker_address.server
    if server is not None and not server.running():  # one test tells of it, and the others go on
        words = "\n".join(server.log.read_text("utf-8", "replace").splitlines()[-30:])
        server.restart()
        pytest.fail(f"the RabbitMQ that the tests share had ended, and was started again:\n{words}")
    vhost = Management(broker_address.management_url, f"test-{secrets.token_hex(6)}")
    run_apart(vhost.create())
    yield vhost
    run_apart(vhost.delete())


@pytest.fixture
def broker_url(broker_address: BrokerAddress, management: Management) -> str:
    """Where to connect to the test's own virtual host; nothing is declared in it."""
    return f"{broker_address.amqp_url}/{quote(management.vhost, safe='')}"


@pytest.fixture(scope="session")
def virtual_hosts(broker_address: BrokerAddress) -> Iterator["VirtualHosts"]:
    """Virtual hosts with a topology, for tests that don't look at how it came to be."""
    from tests.support.virtual_hosts import VirtualHosts

    hosts = VirtualHosts(broker_address.amqp_url, broker_address.management_url)
    yield hosts
    hosts.close()


@pytest.fixture
def lent_broker_url(request: pytest.FixtureRequest, virtual_hosts: "VirtualHosts") -> Iterator[str]:
    """Where to connect to a virtual host in which the topology of `ONE_TIER` is declared and empty.

    A test that asks for `management`, to look at statistics or to make a policy, has a new one.
    """
    if "management" in request.fixturenames:
        yield virtual_hosts.url(request.getfixturevalue("management"))
        return
    with virtual_hosts.lent() as vhost:
        yield virtual_hosts.url(vhost)


@pytest.fixture
def empty_database_url(postgresql_url: str) -> Iterator[str]:
    """The test's own database, without any table."""
    with fresh_database(postgresql_url) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_template(postgresql_url: str) -> Iterator[str]:
    """The name of a database with every migration run, to be copied."""
    from tidings.ledger import migrate

    with fresh_database(postgresql_url) as url:
        run_apart(migrate(url))
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """The test's own database, with every migration run and no rows."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


def other_debian() -> Path | None:
    """Where other versions of the servers are, if they are to be tested: `make test-matrix`."""
    number = os.environ.get("TIDINGS_TEST_DEBIAN")
    return folder_of(int(number)) if number else None


def chosen_home() -> Path | None:
    """Where the tests' own PostgreSQL is installed, if not in the usual places."""
    return postgresql_home(tree) if (tree := other_debian()) else None


@pytest.fixture(scope="session")
def session_rabbitmq(server_directory: Path) -> Iterator[RabbitMQ]:
    data = server_directory / "own-rabbitmq"
    tree = other_debian()
    rabbitmq = (
        RabbitMQInFolder(tree, data)
        if tree
        else RabbitMQ(data, statistics_interval=STATISTICS, spinning=False)
    )
    yield rabbitmq
    rabbitmq.close()


@pytest.fixture(scope="session")
def session_postgresql(server_directory: Path) -> Iterator[PostgreSQL]:
    postgresql = PostgreSQL(server_directory / "own-postgresql", home=chosen_home(), fsync=False)
    yield postgresql
    postgresql.close()


@pytest.fixture
def own_rabbitmq(session_rabbitmq: RabbitMQ) -> RabbitMQ:
    """A running RabbitMQ that the test may stop, kill and restart: nobody else uses it."""
    start_or_skip(session_rabbitmq)
    return session_rabbitmq


@pytest.fixture
def own_postgresql(session_postgresql: PostgreSQL) -> PostgreSQL:
    """A running PostgreSQL that the test may stop, kill and restart: nobody else uses it."""
    start_or_skip(session_postgresql)
    return session_postgresql


def start_or_skip(server: RabbitMQ | PostgreSQL) -> None:
    """Starts it; who brings servers of his own to the tests need not have any installed."""
    try:
        server.start()
    except NotInstalled as error:
        if not os.environ.get("TIDINGS_TEST_AMQP_URL"):
            raise
        pytest.skip(str(error))


@pytest.fixture
async def mail_sink() -> AsyncIterator[MailSink]:
    """A mail server that keeps what it gets; addresses such as `reject@…` make it misbehave."""
    async with MailSink() as sink:
        yield sink


@pytest.fixture
async def sms_sink() -> AsyncIterator[SmsSink]:
    """A server that speaks Twilio's API and keeps what it gets; some numbers make it misbehave."""
    async with SmsSink() as sink:
        yield sink


@pytest.fixture
async def webhook_sink() -> AsyncIterator[WebhookSink]:
    """An endpoint that keeps every request; paths such as `/reject/…` make it misbehave."""
    async with WebhookSink() as sink:
        yield sink


def memory_folder(room: int = 2 << 30) -> Path | None:
    """Where files are kept in memory, if so many bytes are free there; else they go where others do.

    On a disk a database, a copy of 420 files, takes 0.3 s of CPU; in memory 0.03 s.
    """
    folder = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    free = min(shutil.disk_usage(folder).free, available_memory())
    return folder if free >= room else None


def available_memory() -> int:
    """Bytes that can be had without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kilobytes = {name: int(value.split()[0]) for name, value in (it.split(":") for it in lines)}
    return kilobytes["MemAvailable"] * 1024


@contextmanager
def fresh_database(server: str, template: str | None = None) -> Iterator[str]:
    """A new database, dropped at the end with whatever is still connected to it."""
    name = f"test_{secrets.token_hex(6)}"
    run_apart(create_database(server, name, template))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        run_apart(ADMINISTRATORS.execute(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


class Administrators:
    """A connection to each server, kept: opening one takes 7 ms of CPU, and a thousand tests have a database of their own."""

    def __init__(self) -> None:
        self._connections: dict[str, asyncpg.Connection[asyncpg.Record]] = {}

    async def execute(self, server: str, statement: str) -> None:
        """Execute a statement."""
        await (await self.at(server)).execute(statement)

    async def at(self, server: str) -> "asyncpg.Connection[asyncpg.Record]":
        """The connection to a server; a new one if that server was restarted."""
        found = self._connections.get(server)
        if found is None or found.is_closed():
            found = self._connections[server] = await asyncpg.connect(server)
        return found

    async def close(self) -> None:
        """Close them."""
        while self._connections:
            await self._connections.popitem()[1].close()


ADMINISTRATORS: Final = Administrators()


async def create_database(server: str, name: str, template: str | None) -> None:
    """Copied file by file where PostgreSQL has a choice: of hundreds of small tables that takes half the CPU."""
    connection = await ADMINISTRATORS.at(server)
    copy = f' TEMPLATE "{template}"' if template else ""
    if template and connection.get_server_version().major >= 15:
        copy += " STRATEGY file_copy"
    await connection.execute(f'CREATE DATABASE "{name}"{copy}')


async def execute(server: str, statement: str) -> None:
    """Execute a statement over a connection of its own."""
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
