"""A user with many messages, of which PostgreSQL has no statistics yet: a change reads those that it changes, not all for each."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox import changing, marking
from tidings.ledger.inbox.filters import MessageFilter

MANY = 3_000
FILL = """
INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity)
SELECT 'shop', 'jane', gen_random_uuid(), n, n, 'c', 'm', 'info' FROM generate_series(1, $1::int) n
"""


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[LedgerRig]:
    """A user with many messages in tables that nobody has analysed."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        rig = LedgerRig(database)
        await rig.execute("INSERT INTO inbox_users VALUES ('shop', 'jane', $1)", MANY)
        await rig.execute(FILL, MANY)
        yield rig


async def plan(rig: LedgerRig, statement: str, *arguments: object) -> str:
    async with rig.database.transaction() as connection:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_marking_all_reads_each_once(rig: LedgerRig) -> None:
    arguments: list[object] = ["shop", "jane", MANY]
    statement = marking.CHANGE.format(
        which=MessageFilter().matching(arguments),
        needed="read_at IS NULL",
        assignments="read_at = statement_timestamp()",
    )

    marked = await plan(rig, statement, *arguments)

    assert "Rows Removed by Join Filter" not in marked
    assert "Tid Scan on inbox_messages" in marked


async def test_what_the_clock_changes_is_looked_up_by_its_key(rig: LedgerRig) -> None:
    rows = await rig.fetch("SELECT id FROM inbox_messages LIMIT 500")
    ids = [row["id"] for row in rows]
    statement = changing.CHANGE.format(condition="deleted_at IS NULL", assignments="title = 'x'")

    changed = await plan(rig, statement, ["shop"] * len(ids), ["jane"] * len(ids), ids)

    assert "Rows Removed by Join Filter" not in changed
    assert "Index Scan using inbox_messages_pkey" in changed
    assert "Tid Scan on inbox_messages" in changed
