"""After a failover no connection stays with a server that takes no writes, and none waits for a dead one."""

import asyncio
import gc
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tests.conftest import chosen_home, start_or_skip
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import request_of, settings_of
from tests.support.relay import Relay
from tests.support.standby import Standby, let_replicate

from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.outcome import Claimed
from tidings.ledger import PostgresLedger, migrate
from tidings.ledger.database import Connection, Database, PostgresDatabase
from tidings_local.postgres import PostgreSQL

RECOVERY = 10.0
"""Seconds after which everything works again, once the database takes writes."""
CONNECTIONS = 4


@pytest.fixture
def primary(server_directory: Path, request: pytest.FixtureRequest) -> Iterator[PostgreSQL]:
    data = server_directory / f"primary-{abs(hash(request.node.name))}"
    server = PostgreSQL(data, home=chosen_home(), fsync=False)
    start_or_skip(server)
    let_replicate(server)
    yield server
    server.close()


@pytest.fixture
async def url(primary: PostgreSQL) -> str:
    url = primary.create_database("failover")
    await migrate(url)
    return url


@pytest.fixture
def standby(primary: PostgreSQL, url: str) -> Iterator[Standby]:
    data = primary.directory.with_name(f"{primary.directory.name}-standby")
    server = Standby(data, primary, chosen_home())
    server.start()
    yield server
    server.close()


def of_both(first: str, second: str) -> str:
    """A URL that names the host of the first, then all that the second says."""
    parts = urlsplit(second)
    userinfo, _, host = parts.netloc.rpartition("@")
    hosts = f"{urlsplit(first).netloc.rpartition('@')[2]},{host}"
    return urlunsplit(parts._replace(netloc=f"{userinfo}@{hosts}"))


async def refused(ledger: PostgresLedger, why: str) -> None:
    with pytest.raises(LedgerUnavailable, match=why):
        await ledger.claim(request_of(attempt_of(), "holder"))


async def claimed(ledger: PostgresLedger) -> float:
    """Seconds until a notification could be claimed."""
    began, attempt = monotonic(), attempt_of()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await ledger.claim(request_of(attempt, "holder")) == Claimed()
                return monotonic() - began
            except LedgerUnavailable:
                await asyncio.sleep(0.05)


async def leading_to_a_standby(database: Database) -> int:
    """How many connections of the pool do; all of them are open then."""
    found = 0
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = await stack.enter_async_context(database.connection())
            found += await connection.fetchval("SELECT pg_is_in_recovery()")
    return found


async def test_the_standby_that_was_promoted_is_found_among_the_hosts_of_the_url(
    primary: PostgreSQL, standby: Standby, url: str
) -> None:
    settings = settings_of(of_both(standby.url("failover"), url), database_pool_size=CONNECTIONS)
    async with PostgresLedger(settings, actor="worker a") as ledger:
        await claimed(ledger)
        await asyncio.to_thread(primary.kill)
        with pytest.raises(LedgerUnavailable):  # by the wire that broke
            await ledger.claim(request_of(attempt_of(), "holder"))
        await refused(ledger, "no host in TIDINGS_DATABASE_URL accepts writes")
        await asyncio.to_thread(standby.promote)
        assert await claimed(ledger) < RECOVERY


async def test_no_connection_stays_with_a_standby_that_a_name_once_led_to(
    standby: Standby, url: str
) -> None:
    async with Relay(url) as name:
        settings = settings_of(name.url, database_pool_size=CONNECTIONS)
        async with PostgresLedger(settings, actor="worker a") as ledger:
            name.lead_to(standby.url())
            assert await leading_to_a_standby(ledger.database) == CONNECTIONS
            name.lead_to(url)
            await refused(ledger, "read-only")
            assert await claimed(ledger) < 2
            assert await leading_to_a_standby(ledger.database) == 0


async def test_a_server_that_takes_no_writes_for_long_is_told_in_the_same_words_each_time(
    database_url: str,
) -> None:
    """Processes collect garbage seldom: connections that were cut are remembered for a while."""
    name = urlsplit(database_url).path.removeprefix("/")
    read_only = f'ALTER DATABASE "{name}" SET default_transaction_read_only = '
    writing = await asyncpg.connect(database_url)
    try:
        async with PostgresLedger(settings_of(database_url), actor="worker a") as ledger:
            await writing.execute(f"{read_only}on")
            gc.disable()
            for _ in range(3):
                await refused(ledger, "read-only")
            await writing.execute(f"{read_only}off")
            assert await claimed(ledger) < RECOVERY
    finally:
        gc.enable()
        await writing.close()


async def test_who_listens_to_a_server_that_takes_no_writes_any_more_is_told(
    primary: PostgreSQL, url: str
) -> None:
    wake = asyncio.Event()
    async with (
        PostgresLedger(settings_of(url), actor="scheduler a") as ledger,
        ledger.database.listening("tidings_due", wake) as listens,
    ):
        primary.psql("ALTER SYSTEM SET default_transaction_read_only = on")
        primary.psql("SELECT pg_reload_conf()")
        async with asyncio.timeout(10):
            while listens():
                with suppress(LedgerUnavailable):
                    await ledger.claim(request_of(attempt_of(), "holder"))
        assert wake.is_set()


async def test_a_host_that_is_switched_off_does_not_use_up_the_time_of_the_next(
    postgresql_url: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as dark:
        host = f"postgresql://127.0.0.1:{dark.getsockname()[1]}"
        settings = settings_of(of_both(host, postgresql_url), database_timeout=20.0)
        async with (
            asyncio.timeout(5),
            PostgresDatabase(settings) as database,
            database.connection() as connection,
        ):
            assert await connection.fetchval("SELECT 1") == 1


async def test_statements_that_wait_on_a_dead_wire_do_not_fail_one_after_another(
    database_url: str,
) -> None:
    """A firewall that forgot the connections: nobody says no, and each would use up a time limit."""
    async with Relay(database_url) as wire:
        settings = settings_of(wire.url, database_pool_size=CONNECTIONS, database_timeout=1.0)
        async with PostgresLedger(settings, actor="worker a") as ledger:
            await leading_to_a_standby(ledger.database)
            wire.lose()
            await refused(ledger, "no answer in time")
            assert await claimed(ledger) < 1


async def test_a_lock_that_was_waited_for_in_vain_says_nothing_of_the_server(
    database_url: str,
) -> None:
    async with PostgresDatabase(settings_of(database_url)) as database:
        async with database.connection() as connection:
            process = connection.get_server_pid()
        wake = asyncio.Event()
        async with database.listening("tidings_due", wake) as listens:
            with pytest.raises(LedgerUnavailable, match="lock"):
                await wait_for_a_lock_in_vain(database)
            assert listens()
            async with database.connection() as again:
                assert process in await pids(again)


async def wait_for_a_lock_in_vain(database: Database) -> None:
    async with database.transaction() as attempt, database.transaction() as other:
        await attempt.execute("LOCK TABLE notifications")
        await other.execute("SET LOCAL lock_timeout = '50ms'")
        await other.execute("LOCK TABLE notifications")


async def pids(connection: Connection) -> set[int]:
    """The sessions that are open."""
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    )
    return {row["pid"] for row in rows}
