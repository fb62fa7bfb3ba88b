"""Migrating a running system: nobody is held up for long, and where it can't be done, whole versions are left."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256

import asyncpg
import pytest
from tests.support.attempts import attempt_of

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable, Refused
from tidings.ledger.migrate import LATEST, migrate, migration_state, upgrade
from tidings.ledger.migrations.locking import LOCK_TIMEOUT
from tidings.ledger.notifications.idempotency import KeyUse

HAS_COLUMN = (
    "SELECT count(*) FROM information_schema.columns WHERE (table_name, column_name) = ($1, $2)"
)
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('dead_letters_recipient')"
DEAD_LETTER = """
INSERT INTO dead_letters (id, reason, kind, message, fingerprint, first_failed_at, last_failed_at, body)
VALUES (gen_random_uuid(), 'rejected', 'rejected', '', 'abc', now(), now(), '')
"""


@asynccontextmanager
async def session(
    url: str, name: str = "test"
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url, server_settings={"application_name": name})
    try:
        yield connection
    finally:
        await connection.close()


async def longest_wait(url: str, statement: str, until: asyncio.Event) -> float:
    """Run a statement again and again, as a worker does; how long the slowest took."""
    longest = 0.0
    async with session(url) as connection:
        while not until.is_set():
            began = time.monotonic()
            await connection.execute(statement)
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.01)
    return longest


async def test_a_long_query_holds_up_the_migration_and_nobody_else(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0003")
    refused, done = asyncio.Event(), asyncio.Event()
    async with session(empty_database_url) as report, asyncio.TaskGroup() as tasks:
        reading = report.transaction()
        await reading.start()
        await report.fetch("SELECT count(*) FROM notifications")
        migrating = tasks.create_task(migrate(empty_database_url, waits=refused.set))
        worker = tasks.create_task(
            longest_wait(empty_database_url, "SELECT FROM notifications LIMIT 1", done)
        )
        async with asyncio.timeout(30):
            await refused.wait()
            await reading.rollback()
            assert (await migrating).current == LATEST
        done.set()
        assert await worker < LOCK_TIMEOUT + 1.5


async def test_a_table_that_stays_locked_leaves_whole_versions_and_is_told_with_who_has_it(
    empty_database_url: str,
) -> None:
    """Version 0007 changes dead_letters, and then notifications."""
    await asyncio.to_thread(upgrade, empty_database_url, "0005")
    async with session(empty_database_url, "nightly report") as report, report.transaction():
        await report.fetch("SELECT count(*) FROM notifications")
        process = await report.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(LedgerUnavailable) as caught:
            await migrate(empty_database_url, patience=0)
    message = str(caught.value)
    assert (
        f"process {process} (nightly report, idle in transaction, in a transaction for" in message
    )
    assert f"the tables are at version 0006, and {LATEST} is needed" in message
    assert "run `tidings migrate` again" in message
    assert (await migration_state(empty_database_url)).current == "0006"
    async with session(empty_database_url) as connection:
        assert await connection.fetchval(HAS_COLUMN, "dead_letters", "properties") == 0
    assert (await migrate(empty_database_url)).current == LATEST


async def test_a_migration_that_fails_leaves_those_before_it(empty_database_url: str) -> None:
    async with session(empty_database_url) as connection:
        await connection.execute("CREATE TABLE processes (in_the_way int)")
        with pytest.raises(Exception, match="processes"):
            await migrate(empty_database_url)
        assert (await migration_state(empty_database_url)).current == "0009"
        await connection.execute("DROP TABLE processes")
    assert (await migrate(empty_database_url)).current == LATEST


async def test_an_index_is_built_while_its_table_is_written_to(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0010")
    done = asyncio.Event()
    async with session(empty_database_url) as archive, asyncio.TaskGroup() as tasks:
        archiving = archive.transaction()
        await archiving.start()
        await archive.execute(DEAD_LETTER)
        migrating = tasks.create_task(migrate(empty_database_url, patience=0))
        others = tasks.create_task(longest_wait(empty_database_url, DEAD_LETTER, done))
        await asyncio.sleep(LOCK_TIMEOUT + 0.5)
        assert not migrating.done()
        await archiving.commit()
        async with asyncio.timeout(30):
            assert (await migrating).current == LATEST
        done.set()
        assert await others < 1.0


async def test_old_processes_that_run_keep_the_tables_as_they_are(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0020")
    async with session(empty_database_url) as connection:
        for pid, version, gone in ((1, "0.1.3", 0), (2, "0.1.3", 60), (3, "0.2.0", 0)):
            await connection.execute(
                "INSERT INTO processes (actor, roles, host, pid, version, channels, templates, seen_at)"
                " VALUES ($1, '{worker}', 'web', $2, $3, '{}', '', now() - $4 * interval '1 second')",
                str(pid),
                pid,
                version,
                gone,
            )
        with pytest.raises(Refused, match=r"^web:1 \(worker, version 0\.1\.3\) can't work"):
            await migrate(empty_database_url)
        assert (await migration_state(empty_database_url)).current == "0020"
        assert (await migrate(empty_database_url, force=True)).current == LATEST


async def test_no_function_without_tenants_is_left(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    async with session(empty_database_url) as connection:
        names = "'tidings_delete_over', 'tidings_tidy'"
        found = await connection.fetch(f"SELECT proname FROM pg_proc WHERE proname IN ({names})")  # noqa: S608
    assert len(found) == 2


async def test_an_index_that_was_left_half_built_is_built_again(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0010")
    async with session(empty_database_url) as connection:
        await connection.execute("CREATE INDEX dead_letters_recipient ON dead_letters (recipient)")
        await connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'dead_letters_recipient'::regclass"
        )
        await asyncio.to_thread(upgrade, empty_database_url, "0011")
        assert await connection.fetchval(VALID)


async def test_what_was_stored_before_there_were_tenants_belongs_to_the_default_one(
    empty_database_url: str,
) -> None:
    """And its keys are recognised; whatever ends the migration half-way, it may be run again."""
    await asyncio.to_thread(upgrade, empty_database_url, "0021")
    digest = sha256(b"email\nada@example.com").digest()
    async with session(empty_database_url) as connection:
        await connection.execute(
            "INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body, accepted_at)"
            " VALUES (gen_random_uuid(), 'email', 'low', 'x', 'y', 'sent', 0, 0, '', now())"
        )
        await connection.execute(DEAD_LETTER)
        await connection.execute(
            "INSERT INTO idempotency_holders VALUES ('k', $1, gen_random_uuid(), now() + interval '1 day')",
            digest,
        )
        await connection.execute(
            "CREATE INDEX notifications_default_tenant ON notifications_default (id);"
            "ALTER TABLE notifications ADD COLUMN tenant text NOT NULL DEFAULT 'default'"
        )
        await connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'notifications_default_tenant'::regclass"
        )
        assert (await migrate(empty_database_url)).current == LATEST
        for table in ("notifications", "dead_letters", "idempotency_holders"):
            assert await connection.fetchval(f"SELECT tenant FROM {table}") == "default"  # noqa: S608
        assert await connection.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'notifications_tenant'::regclass"
        )
        await connection.execute(
            "SELECT tidings_add_partition('notifications', '2040-01-02', '2040-01-09')"
        )
        without_index = await connection.fetch(
            "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'notifications'::regclass EXCEPT SELECT indrelid"
            "  FROM pg_inherits JOIN pg_index ON inhrelid = indexrelid WHERE inhparent = 'notifications_tenant'::regclass"
        )
        assert without_index == []
    key = KeyUse.of(attempt_of(idempotency_key="k").notification)
    assert key is not None
    assert key.addressee == digest


async def test_a_malformed_dead_letter_that_names_a_tenant_is_not_the_default_tenant_s(
    empty_database_url: str,
) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0021")
    async with session(empty_database_url) as connection:
        for body in (b'{"tenant": "acme"}', b'{"category": "x"}'):
            malformed = DEAD_LETTER.replace("'rejected', 'rejected'", "'malformed', 'malformed'")
            await connection.execute(malformed.replace("now(), '')", "now(), $1)"), body)
        await connection.execute(DEAD_LETTER.replace("now(), '')", "now(), $1)"), b'{"tenant": 1}')
        await migrate(empty_database_url)
        rows = await connection.fetch("SELECT reason, body FROM dead_letters WHERE tenant IS NULL")
        assert [tuple(row) for row in rows] == [("malformed", b'{"tenant": "acme"}')]


async def test_a_function_that_the_migration_does_not_know_stops_it(
    empty_database_url: str,
) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, "0021")
    async with session(empty_database_url) as connection:
        await connection.execute(
            "CREATE OR REPLACE FUNCTION tidings_erase_keys(ids uuid[]) RETURNS integer LANGUAGE sql AS 'SELECT 0'"
        )
    with pytest.raises(ConfigurationError, match=r"tidings_erase_keys\(uuid\[\]\) is not the one"):
        await migrate(empty_database_url)
