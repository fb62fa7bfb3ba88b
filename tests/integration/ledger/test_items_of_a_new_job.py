"""A new job with many items, of which PostgreSQL has no statistics: what is stored of each is not compared with all."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.delivery.states import FINISHED
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.jobs import actions, items

OLD, NEW = UUID(int=1), UUID(int=2)
MANY = 3_000
JOBS = """
INSERT INTO jobs (id, kind, selection, actor, changed_by, items)
SELECT unnest($1::uuid[]), 'replay', '{}', 'jane', 'jane', $2
"""
ITEMS = "INSERT INTO job_items (job, position, item) SELECT $1, n, gen_random_uuid() FROM generate_series(1, $2::int) n"


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[LedgerRig]:
    """A job that came after the last analysis."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        rig = LedgerRig(database)
        await rig.execute(JOBS, [OLD, NEW], MANY)
        await rig.execute(ITEMS, OLD, MANY)
        await rig.execute("ANALYZE job_items")
        await rig.execute(ITEMS, NEW, MANY)
        yield rig


EACH_WITH_EACH = "Join Filter:"


async def plan(rig: LedgerRig, statement: str, *arguments: object) -> str:
    async with rig.database.transaction() as connection:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_a_batch_is_locked_without_reading_all_others(rig: LedgerRig) -> None:
    locked = await plan(rig, actions.LOCK, NEW, list(range(1, 101)))

    assert "Rows Removed" not in locked, locked


async def test_results_are_stored_by_position(rig: LedgerRig) -> None:
    positions = list(range(1, 501))
    count = len(positions)
    arguments = positions, ["replayed"] * count, [None] * count, [None] * count

    stored = await plan(rig, actions.RECORD, NEW, *arguments)

    assert EACH_WITH_EACH not in stored, stored
    assert await rig.fetch("SELECT count(*) FROM job_items WHERE result = 'replayed'") == [
        {"count": count}
    ]


async def test_outcomes_are_stored_by_position(rig: LedgerRig) -> None:
    final = [state.value for state in FINISHED]

    stored = await plan(rig, items.OUTCOMES, NEW, 0, MANY, final)

    assert EACH_WITH_EACH not in stored, stored
