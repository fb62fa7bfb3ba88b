"""Partitions by week: rows lie in that of their id, and a ledger that was filled before there were any keeps all of its own."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.support.attempts import attempt_of
from tests.support.ids import id_at
from tests.support.ledger_rig import LedgerRig, record_of, request_of, settings_of

from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.outcome import Claimed, Sent
from tidings.delivery.states import State
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.migrate import LATEST, migrate, upgrade
from tidings.ledger.partitions import Partitions

SENT = Sent("smtp:relay", "4XhS")
TODAY = datetime.now(UTC)
MONDAY = TODAY.date() - timedelta(days=TODAY.weekday())
AHEAD = {(MONDAY + timedelta(weeks=n), MONDAY + timedelta(weeks=n + 1)) for n in (1, 2)}
BEFORE = "0015"
"""The last version that knew nothing of partitions."""
FILL = """
INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body, accepted_at, time_source)
SELECT id, 'email', 'normal', 'welcome', 'ada@example.com', 'queued', 0, 1, '', now(), 'id' FROM unnest($1::uuid[]) AS id
"""
FILL_MORE = (
    "INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, worker)"
    " SELECT id, 0, 1, now(), 1, 'retrying', 'old' FROM unnest($1::uuid[]) AS id",
    "INSERT INTO transitions (notification_id, epoch, after, actor, reason)"
    " SELECT id, 0, 'queued', 'old', 'before' FROM unnest($1::uuid[]) AS id",
)
OURS = "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
WHERE = "SELECT id, tableoid::regclass::text AS place FROM notifications"
TABLES = ("notifications", "attempts", "transitions")


@pytest.fixture
async def connection(
    empty_database_url: str,
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    found = await asyncpg.connect(empty_database_url)
    yield found
    await found.close()


def named(day: datetime) -> str:
    monday = day.date() - timedelta(days=day.weekday())
    return f"notifications_{monday:%Y%m%d}"


async def test_a_new_ledger_puts_each_notification_where_its_id_belongs(database_url: str) -> None:
    other, ours = uuid4(), id_at(TODAY)
    ahead, past = id_at(TODAY + timedelta(weeks=1)), id_at(TODAY - timedelta(weeks=9))
    async with PostgresDatabase(settings_of(database_url)) as database:
        rig = LedgerRig(database)
        attempts = [attempt_of(id=id) for id in (other, ours, ahead, past)]
        claimed = await rig.claim(*(request_of(attempt, "t") for attempt in attempts))
        recorded = await rig.records.record([record_of(attempt, "t", SENT) for attempt in attempts])
        places = {row["id"]: row["place"] for row in await rig.fetch(WHERE)}
        [same] = await rig.fetch(
            "SELECT count(*) FROM attempts a JOIN notifications n ON n.id = a.notification_id"
            " WHERE replace(n.tableoid::regclass::text, 'notifications', '')"
            "     = replace(a.tableoid::regclass::text, 'attempts', '')"
        )
    assert claimed == [Claimed()] * 4
    assert recorded == [True] * 4
    assert places == {
        other: "notifications_default",
        past: "notifications_default",
        ours: named(TODAY),
        ahead: named(TODAY + timedelta(weeks=1)),
    }
    assert same["count"] == 4


async def test_partitions_are_written_like_the_table_they_came_from(
    connection: "asyncpg.Connection[asyncpg.Record]", empty_database_url: str
) -> None:
    await migrate(empty_database_url)
    options = await connection.fetch(
        "SELECT DISTINCT reloptions FROM pg_class WHERE relname LIKE 'notifications_2%' AND relkind = 'r'"
        " UNION SELECT reloptions FROM pg_class WHERE relname = 'notifications_default'"
    )
    assert len(options) == 1
    assert "fillfactor=50" in options[0]["reloptions"]


@pytest.mark.parametrize("cut_off_at", [BEFORE, "0016", "0017"])
async def test_a_ledger_with_rows_keeps_them_and_its_privileges(
    connection: "asyncpg.Connection[asyncpg.Record]", empty_database_url: str, cut_off_at: str
) -> None:
    await asyncio.to_thread(upgrade, empty_database_url, BEFORE)
    ids = [uuid4(), id_at(TODAY), id_at(TODAY + timedelta(weeks=1))]
    for statement in (FILL, *FILL_MORE):
        await connection.execute(statement, ids)
    role = f"app_{uuid4().hex[:8]}"
    await connection.execute(f"CREATE ROLE {role}")
    try:
        for granted in ("SELECT, INSERT, UPDATE ON ALL TABLES", "USAGE ON SCHEMA public"):
            where = " IN SCHEMA public" if "ALL" in granted else ""
            await connection.execute(f"GRANT {granted}{where} TO {role}")
        await asyncio.to_thread(upgrade, empty_database_url, cut_off_at)
        assert (await migrate(empty_database_url)).current == LATEST
        await connection.execute(f"SET ROLE {role}")
        for table in TABLES:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == len(ids)  # noqa: S608
        assert await connection.fetchval("SELECT count(*) FROM history") == 4 * len(ids)
        await connection.execute(FILL_MORE[1], ids)
        numbers = await connection.fetch("SELECT id FROM transitions")
        assert len({row["id"] for row in numbers}) == 2 * len(ids)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM notifications")
    finally:
        await connection.execute("RESET ROLE")
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_superuser_migrates_tables_of_another_owner(
    connection: "asyncpg.Connection[asyncpg.Record]", empty_database_url: str
) -> None:
    """All that is new is the owner's, and works with the owner's rights alone."""
    await asyncio.to_thread(upgrade, empty_database_url, BEFORE)
    owner = f"owner_{uuid4().hex[:8]}"
    await connection.execute(f"CREATE ROLE {owner}")
    await connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}")
    for row in await connection.fetch(OURS):
        await connection.execute(f"ALTER TABLE {row['name']} OWNER TO {owner}")
    try:
        assert (await migrate(empty_database_url)).current == LATEST
        others = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relowner <> $1::regrole"
            " UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner <> $1::regrole",
            owner,
        )
        assert others == []
        async with PostgresDatabase(settings_of(empty_database_url)) as database:
            assert await Partitions(database).add_missing(MONDAY + timedelta(weeks=4))
    finally:
        await connection.execute(f"DROP OWNED BY {owner}; DROP ROLE {owner}")


async def test_what_is_stored_ahead_of_its_week_moves_into_its_partition(
    connection: "asyncpg.Connection[asyncpg.Record]", empty_database_url: str
) -> None:
    """This week had begun without one, so its rows stay where they are."""
    await asyncio.to_thread(upgrade, empty_database_url, BEFORE)
    now, ahead = id_at(TODAY), id_at(TODAY + timedelta(weeks=1))
    for statement in (FILL, *FILL_MORE):
        await connection.execute(statement, [now, ahead])
    await migrate(empty_database_url)
    async with PostgresDatabase(settings_of(empty_database_url)) as database:
        made = await Partitions(database).add_missing(TODAY.date())
        again = await Partitions(database).add_missing(TODAY.date())
    assert {(partition.since, partition.until) for partition in made} == AHEAD
    assert again == []
    places = {row["id"]: row["place"] for row in await connection.fetch(WHERE)}
    assert places == {now: "notifications_default", ahead: named(TODAY + timedelta(weeks=1))}
    for table in TABLES:
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 2  # noqa: S608


async def test_several_schedulers_make_each_partition_once(database_url: str) -> None:
    later = TODAY.date() + timedelta(weeks=3)
    async with PostgresDatabase(settings_of(database_url)) as database:
        made = await asyncio.gather(*(Partitions(database).add_missing(later) for _ in range(3)))
        found = await Partitions(database).all()
    assert sum(len(partition) for partition in made) == 3 * 5
    assert len(found) == 6 * 5


async def test_a_notification_waits_while_rows_of_its_week_move(database_url: str) -> None:
    """Where the scheduler that was at it is gone, the next finishes it."""
    far = TODAY.date() + timedelta(weeks=3)
    since = far - timedelta(days=far.weekday())
    async with PostgresDatabase(settings_of(database_url)) as database:
        rig = LedgerRig(database)
        due = [attempt_of(id=id_at(TODAY + timedelta(weeks=3))), attempt_of(id=uuid4())]
        for attempt in due:
            await rig.put(attempt, State.SCHEDULED)
        await rig.fetch(
            "SELECT tidings_make_room('notifications', $1, $2)", since, since + timedelta(weeks=1)
        )
        assert [entry.id for entry in await rig.outbox.take(10, actor="scheduler")] == [due[1].id]
        attempt = attempt_of(id=id_at(TODAY + timedelta(weeks=3)))
        with pytest.raises(LedgerUnavailable, match="moving"):
            await rig.claim(request_of(attempt))
        await Partitions(database).add_missing(far)
        await rig.claimed(attempt)
        assert [entry.id for entry in await rig.outbox.take(10, actor="scheduler")] == [due[0].id]


async def test_partitions_of_several_weeks_begin_where_those_of_one_end(database_url: str) -> None:
    """As where the retention is made longer."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        await Partitions(database).add_missing(MONDAY + timedelta(weeks=3), 4)
        found = {
            (partition.since, partition.until) for partition in await Partitions(database).all()
        }
    spans = sorted(found)
    assert all(until == since for (_, until), (since, _) in itertools.pairwise(spans))
    assert spans[-1][1] >= MONDAY + timedelta(weeks=6)
    assert len(spans) < 6
