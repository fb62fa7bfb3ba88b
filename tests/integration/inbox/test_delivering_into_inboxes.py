"""A message is in its user's inbox once, however often and by however many workers it is delivered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from tests.support.inbox_rig import PATIENCE, KeptHints, message_of, revision_of, stored
from tests.support.ledger_rig import settings_of

from tidings.delivery.errors import CommitUnknown, ConfigurationError, LedgerUnavailable
from tidings.delivery.inbox import InboxChange, InboxMessage
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.delivering import DELIVER, InboxDeliveries, _values
from tidings.ledger.packing import packed


@pytest.fixture
def hints() -> KeptHints:
    return KeptHints()


@pytest.fixture
async def inbox(database: PostgresDatabase, hints: KeptHints) -> AsyncIterator[InboxDeliveries]:
    async with InboxDeliveries(database, size=200, hints=hints) as deliveries:
        yield deliveries


async def deliver(inbox: InboxDeliveries, *messages: InboxMessage) -> None:
    """All at once."""
    await asyncio.gather(*(inbox.deliver(message, PATIENCE) for message in messages))


async def test_a_message_is_stored_with_all_that_was_said_and_announced(
    inbox: InboxDeliveries, database: PostgresDatabase, hints: KeptHints
) -> None:
    ends = datetime.now(UTC) + timedelta(days=3)
    message = message_of(
        title="Order 10042",
        body="It is on its way.",
        category="receipt",
        type="order",
        severity="success",
        data='{"order": 10042}',
        action_url="/orders/10042",
        actions='[{"id": "a", "label": "b", "url": null}]',
        entity_type="order",
        entity_id="10042",
        expires_at=ends,
    )

    await deliver(inbox, message)

    (found,) = await stored(database)
    assert (found.id, found.title, found.body) == (message.id, "Order 10042", "It is on its way.")
    assert (found.category, found.type, found.severity) == ("receipt", "order", "success")
    assert found.data == {"order": 10042}
    assert found.actions == [{"id": "a", "label": "b", "url": None}]
    assert (found.action_url, found.entity_type, found.entity_id) == (
        "/orders/10042",
        "order",
        "10042",
    )
    assert found.expires_at == ends
    assert found.position == found.revision == 1
    assert (found.seen_at, found.read_at, found.archived_at, found.deleted_at) == (None,) * 4
    assert hints.changes == [InboxChange("default", "ada", 1)]


async def test_a_message_delivered_again_changes_nothing_and_announces_nothing(
    inbox: InboxDeliveries, database: PostgresDatabase, hints: KeptHints
) -> None:
    message = message_of()
    await deliver(inbox, message)
    before = await stored(database)
    hints.changes.clear()

    await deliver(inbox, replace(message, title="Other words"), message)

    assert await stored(database) == before
    assert await revision_of(database) == 1
    assert hints.changes == []


async def test_a_message_that_its_user_deleted_does_not_come_back(
    inbox: InboxDeliveries, database: PostgresDatabase
) -> None:
    message = message_of()
    await deliver(inbox, message)
    async with database.connection() as connection:
        await connection.execute("UPDATE inbox_messages SET title = NULL, deleted_at = now()")

    await deliver(inbox, message)

    (found,) = await stored(database)
    assert found.title is None
    assert found.deleted_at is not None


async def test_twice_in_one_batch_is_once_in_the_inbox(
    inbox: InboxDeliveries, database: PostgresDatabase
) -> None:
    message = message_of()

    await deliver(inbox, message, message, message)

    assert [found.id for found in await stored(database)] == [message.id]


async def test_one_id_may_be_in_the_inboxes_of_several_users_and_tenants(
    inbox: InboxDeliveries, database: PostgresDatabase, hints: KeptHints
) -> None:
    message = message_of(title="for ada of default")
    of_acme = replace(message, tenant="acme", title="for ada of acme")
    edited = replace(message, user_id="bob", title="for bob")

    await deliver(inbox, message, of_acme, edited)

    for user, tenant, title in (
        ("ada", "default", "for ada of default"),
        ("ada", "acme", "for ada of acme"),
        ("bob", "default", "for bob"),
    ):
        assert [found.title for found in await stored(database, user, tenant)] == [title]
    assert {(change.tenant, change.user_id) for change in hints.changes} == {
        ("default", "ada"),
        ("acme", "ada"),
        ("default", "bob"),
    }


async def test_messages_of_one_batch_keep_their_order_with_a_revision_each(
    inbox: InboxDeliveries, database: PostgresDatabase, hints: KeptHints
) -> None:
    messages = [message_of(title=str(number)) for number in range(20)]

    await deliver(inbox, *messages)

    found = await stored(database)
    assert [message.title for message in found] == [str(number) for number in range(20)]
    assert [message.revision for message in found] == list(range(1, 21))
    assert [message.position for message in found] == list(range(1, 21))
    assert await revision_of(database) == 20
    assert max(change.revision for change in hints.changes) == 20


async def test_two_processes_deliver_to_the_same_thousand_users_without_a_deadlock(
    database: PostgresDatabase, database_url: str
) -> None:
    """Each in an order of its own; a third of the messages in both."""
    users = [f"user-{number}" for number in range(1_000)]
    shared = [message_of(user) for user in users[:300]]
    async with AsyncExitStack() as stack:
        sent: list[InboxMessage] = []
        under_way = []
        for process in range(2):
            own = await stack.enter_async_context(PostgresDatabase(settings_of(database_url)))
            inbox = await stack.enter_async_context(InboxDeliveries(own, size=1_000))
            messages = [*shared, *(message_of(user) for user in users)]
            Random(process).shuffle(messages)
            sent += messages
            under_way.append(deliver(inbox, *messages))
        await asyncio.gather(*under_way)

    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT user_id, id, revision, position FROM inbox_messages ORDER BY user_id, revision"
        )
        wrong = await connection.fetchval(
            "SELECT count(*) FROM inbox_users u WHERE revision < (SELECT max(revision) FROM inbox_messages m"
            " WHERE m.tenant = u.tenant AND m.user_id = u.user_id)"
        )
    assert {(row["user_id"], row["id"]) for row in rows} == {(it.user_id, it.id) for it in sent}
    assert len({(row["user_id"], row["revision"]) for row in rows}) == len(rows) == 2_300
    assert wrong == 0


async def test_workers_that_deliver_the_same_message_at_the_same_moment_show_it_once(
    database: PostgresDatabase, hints: KeptHints
) -> None:
    """The lease of the first ran out while it was sending."""
    message = message_of()
    async with (
        InboxDeliveries(database, size=1, hints=hints) as first,
        InboxDeliveries(database, size=1, hints=hints) as second,
    ):
        await asyncio.gather(
            *(inbox.deliver(message, PATIENCE) for inbox in (first, second) for _ in range(5))
        )

    assert [found.id for found in await stored(database)] == [message.id]
    assert len(hints.changes) == 1


async def test_who_reads_while_others_deliver_never_misses_a_lower_revision(
    database: PostgresDatabase, database_url: str
) -> None:
    """Order of commits and order of revisions are the same: else `since` would skip messages."""
    seen: set[int] = set()
    late: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        head = 0
        while not done.is_set():
            async with database.connection() as connection:
                rows = await connection.fetch("SELECT revision FROM inbox_messages")
            now = {row["revision"] for row in rows}
            late.extend(revision for revision in now - seen if revision <= head)
            seen.update(now)
            head = max(now, default=0)

    following = asyncio.create_task(follow())
    async with AsyncExitStack() as stack:
        inboxes = []
        for _ in range(3):
            own = await stack.enter_async_context(PostgresDatabase(settings_of(database_url)))
            inboxes.append(await stack.enter_async_context(InboxDeliveries(own, size=3)))
        await asyncio.gather(
            *(deliver(inbox, *(message_of() for _ in range(100))) for inbox in inboxes)
        )
    done.set()
    await following

    assert len(seen) > 10
    assert late == []


async def test_a_delivery_that_finds_no_connection_in_time_was_not_stored(
    database_url: str,
) -> None:
    settings = settings_of(database_url, database_pool_size=3)
    async with PostgresDatabase(settings) as own, InboxDeliveries(own, size=1) as inbox:
        async with own.connection(), own.connection(), own.connection():
            with pytest.raises(LedgerUnavailable) as caught:
                await inbox.deliver(message_of(), 0.2)
        assert type(caught.value) is LedgerUnavailable


async def test_a_delivery_without_an_answer_may_have_been_stored(
    database: PostgresDatabase, inbox: InboxDeliveries
) -> None:
    await deliver(inbox, message_of())
    message = message_of()
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM inbox_users FOR UPDATE")
        with pytest.raises(CommitUnknown):
            await inbox.deliver(message, 0.2)

    await deliver(inbox, message)

    assert [found.id for found in await stored(database)].count(message.id) == 1


async def test_a_connection_lost_under_a_delivery_leaves_it_unknown(
    database: PostgresDatabase, inbox: InboxDeliveries
) -> None:
    await deliver(inbox, message_of())
    async with database.transaction() as connection:
        await connection.execute("SELECT FROM inbox_users FOR UPDATE")
        delivering = asyncio.create_task(inbox.deliver(message_of(), PATIENCE))
        async with database.connection() as other:
            while not await other.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(CommitUnknown):
            await delivering


async def test_a_statement_that_postgresql_refuses_stored_nothing(
    database: PostgresDatabase, inbox: InboxDeliveries
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END$$"
        )
        await connection.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON inbox_messages EXECUTE FUNCTION full_disk()"
        )
    with pytest.raises(LedgerUnavailable) as caught:
        await inbox.deliver(message_of(), PATIENCE)

    assert type(caught.value) is LedgerUnavailable
    assert await revision_of(database) == 0


async def test_a_check_tells_of_missing_tables(
    database: PostgresDatabase, inbox: InboxDeliveries
) -> None:
    await inbox.check()
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE inbox_messages RENAME TO elsewhere")

    with pytest.raises(ConfigurationError, match="inbox_messages"):
        await inbox.check()


async def test_data_arrives_as_it_was_written(
    inbox: InboxDeliveries, database: PostgresDatabase
) -> None:
    data = {"a": [1, 2.5, "x", None, {"ü": "\\u0041 🎉"}]}

    await deliver(inbox, message_of(data=json.dumps(data)), message_of(), message_of(data="{}"))

    assert [found.data for found in await stored(database)] == [data, None, {}]


async def test_a_delivery_to_a_full_inbox_looks_at_no_more_than_its_own_message(
    inbox: InboxDeliveries, database: PostgresDatabase
) -> None:
    """Without statistics too, as after a restore."""
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE inbox_messages SET (autovacuum_enabled = false)")
    await deliver(inbox, message_of(), *(message_of() for _ in range(5)))
    async with database.connection() as connection:
        await connection.execute("UPDATE inbox_users SET revision = 100000")
        await connection.execute(
            "INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity)"
            " SELECT 'default', 'ada', gen_random_uuid(), n, n, 'c', 'm', 'info' FROM generate_series(100, 20000) n"
        )
    columns = packed([list(column) for column in zip(_values(message_of()), strict=True)])
    async with database.connection() as connection:
        plan = "\n".join(
            row[0]
            for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {DELIVER}", *columns)
        )

    assert "Rows Removed" not in plan
    assert "inbox_messages_pkey" in plan
