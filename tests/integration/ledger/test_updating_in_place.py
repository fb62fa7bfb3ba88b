"""A notification that is simply sent costs its indexes one entry each: its row is updated in place (HOT)."""

import asyncio

import asyncpg
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig, record_of, request_of, settings_of

from tidings.delivery.outcome import Sent
from tidings.ledger.database import PostgresDatabase

UPDATES = """
SELECT sum(n_tup_upd)::int AS updated, sum(n_tup_hot_upd)::int AS in_place
  FROM pg_stat_user_tables WHERE relname LIKE 'notifications_%'
"""
SENT = Sent("smtp:relay", "0193a5c42c007000800000000001", "250 2.0.0 Ok: queued as 4XhS")
BATCHES, SIZE = 12, 100
UNDER_WAY = 4
"""Batches that are claimed before the first of them is recorded."""


async def test_recording_that_it_was_sent_touches_no_index(database_url: str) -> None:
    watching = await asyncpg.connect(database_url)
    async with PostgresDatabase(settings_of(database_url)) as database:
        ledger = LedgerRig(database)
        batches = [[attempt_of(body="x" * 250) for _ in range(SIZE)] for _ in range(BATCHES)]
        for place in range(BATCHES + UNDER_WAY):
            if place < BATCHES:
                await ledger.claim(
                    *(request_of(attempt, str(attempt.id)) for attempt in batches[place])
                )
            if place >= UNDER_WAY:
                done = batches[place - UNDER_WAY]
                await ledger.records.record([record_of(task, str(task.id), SENT) for task in done])
    async with asyncio.timeout(20):
        while (row := await watching.fetchrow(UPDATES))["updated"] < BATCHES * SIZE:
            await asyncio.sleep(0.05)
    await watching.close()
    assert row["in_place"] >= 0.98 * row["updated"]
