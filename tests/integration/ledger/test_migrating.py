"""Bringing the tables up to date: once, however many do it, and clear about what stands in the way."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.delivery.states import State
from tidings.ledger import migrate, migration_state
from tidings.ledger.migrate import LATEST, MigrationState

CURRENT = MigrationState(LATEST, LATEST)
Execute = Callable[..., Awaitable[list[dict[str, object]]]]


@pytest.fixture
async def execute(empty_database_url: str) -> AsyncIterator[Execute]:
    connection = await asyncpg.connect(empty_database_url)

    async def run(statement: str, *arguments: object) -> list[dict[str, object]]:
        return [dict(row) for row in await connection.fetch(statement, *arguments)]

    yield run
    await connection.close()


def changed(url: str, **parts: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**parts))


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return changed(url, netloc=f"{user}:{password}@{parts.hostname}:{parts.port}")


async def test_an_empty_database_is_at_no_version(empty_database_url: str) -> None:
    state = await migration_state(empty_database_url)
    assert state == MigrationState(None, LATEST)
    assert not state.ok


async def test_migrating_makes_every_table_and_says_so(
    empty_database_url: str, execute: Execute
) -> None:
    assert await migrate(empty_database_url) == CURRENT
    assert CURRENT.ok
    tables = await execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    assert {row["relname"] for row in tables} == {
        "alembic_version",
        "api_keys",
        "api_requests",
        "console_sessions",
        "attempts",
        "channel_orders",
        "operator_actions",
        "circuits",
        "dead_letters",
        "dispatching_orders",
        "inbox_messages",
        "inbox_tickets",
        "inbox_users",
        "schedules",
        "alerts",
        "idempotency_holders",
        "idempotency_keys",
        "job_items",
        "jobs",
        "notifications",
        "outbox_entries",
        "processes",
        "retiring_changes",
        "retiring_weeks",
        "transitions",
        "user_token_revocations",
        "recipient_results",
        "provider_attempts",
        "outcome_deltas",
        "outcome_rollups",
        "channel_rollups",
        "rollup_categories",
        "dead_letter_deltas",
        "dead_letter_hours",
        "dead_letter_categories",
        "dead_letter_minutes",
        "alert_rules",
        "outbox_batches",
        "sent_alerts",
        "queue_depths",
        "queue_looks",
        "dead_letter_group_notes",
        "dead_letter_group_owners",
        "open_dead_letters",
    }


async def test_no_table_or_index_keeps_an_old_word(
    empty_database_url: str, execute: Execute
) -> None:
    await migrate(empty_database_url)
    old = "SELECT relname FROM pg_class WHERE relname ~ '^(tries|escalations|letters)|buried'"
    assert await execute(old) == []


async def test_migrating_again_changes_nothing(empty_database_url: str, execute: Execute) -> None:
    await migrate(empty_database_url)
    await execute("INSERT INTO alerts (topic, sent_at) VALUES ('kept', now())")
    assert await migrate(empty_database_url) == CURRENT
    assert await execute("SELECT topic FROM alerts") == [{"topic": "kept"}]


async def test_several_processes_at_once_migrate_once(empty_database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from tidings.ledger import migrate\n"
        "print(asyncio.run(migrate(sys.argv[1])).current)"
    )
    arguments = (sys.executable, "-c", program, empty_database_url)
    processes = [
        await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    async with asyncio.timeout(60):
        outputs = [(await process.communicate())[0] for process in processes]
    assert outputs == [f"{LATEST}\n".encode()] * 3


async def test_the_tables_of_a_newer_tidings_are_left_alone(
    empty_database_url: str, execute: Execute
) -> None:
    await migrate(empty_database_url)
    await execute("UPDATE alembic_version SET version_num = '9999'")
    state = await migrate(empty_database_url)
    assert state == MigrationState("9999", LATEST)
    assert state.ok


async def test_the_database_knows_every_state_and_no_other(
    empty_database_url: str, execute: Execute
) -> None:
    await migrate(empty_database_url)
    statement = (
        "INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body, "
        "accepted_at) VALUES ($1, 'email', 'low', 'x', 'y', $2, 0, 0, '', now())"
    )
    for state in State:
        await execute(statement, uuid4(), state.value)
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(statement, uuid4(), "lost")


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database_url: str, execute: Execute
) -> None:
    await execute("CREATE TABLE dead_letters (in_the_way int)")
    with pytest.raises(Exception, match="dead_letters"):
        await migrate(empty_database_url)
    tables = await execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert [row["tablename"] for row in tables] == ["dead_letters"]


@pytest.mark.parametrize("work", [migrate, migration_state])
async def test_a_postgresql_that_is_away_is_unavailable(
    work: Callable[[str], Awaitable[MigrationState]], unused_tcp_port: int
) -> None:
    url = f"postgresql://tidings:secret@127.0.0.1:{unused_tcp_port}/tidings"
    with pytest.raises(LedgerUnavailable, match="can't be reached") as caught:
        await work(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("work", [migrate, migration_state])
async def test_a_database_that_does_not_exist_says_what_to_do(
    work: Callable[[str], Awaitable[MigrationState]], empty_database_url: str
) -> None:
    with pytest.raises(ConfigurationError, match=r'"nosuch" does not exist; create it, or name'):
        await work(changed(empty_database_url, path="/nosuch"))


async def test_a_wrong_password_says_what_to_mend(empty_database_url: str) -> None:
    user = urlsplit(empty_database_url).username
    with pytest.raises(ConfigurationError, match="TIDINGS_DATABASE_URL") as caught:
        await migration_state(as_user(empty_database_url, str(user), "hunter2"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "postgresql://h:port/d", "postgresql://h/d?sslmode=perhaps"]
)
async def test_what_is_no_postgresql_url_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match="TIDINGS_DATABASE_URL"):
        await migrate(url)


async def test_a_user_who_may_not_make_tables_is_told_who_may(
    empty_database_url: str, execute: Execute
) -> None:
    role = f"reader_{uuid4().hex[:8]}"
    await execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")
    try:
        with pytest.raises(ConfigurationError, match=r"permission denied.*owner"):
            await migrate(as_user(empty_database_url, role, "hunter2"))
    finally:
        await execute(f"DROP ROLE {role}")
