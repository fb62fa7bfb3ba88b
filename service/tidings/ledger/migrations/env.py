"""Runs the migrations on one asyncpg connection, one process at a time, each in a transaction of its own."""

import asyncio
import time
from functools import partial

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tidings.ledger.connecting import connect
from tidings.ledger.migrations.locking import LOCK_TIMEOUT

LOCK = 7_482_910_233
"""Any number that nothing else in the database locks: two migrating processes wait for each other."""
LOOK_AGAIN = 0.1
"""Seconds between two looks whether another process still migrates."""


def _migrate(connection: Connection) -> None:
    _wait_for_others(connection)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}s'"))
    connection.execute(text("SET statement_timeout = 0"))  # whatever its user has been given
    connection.commit()  # or Alembic would take this transaction for one that we mean to end
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


def _wait_for_others(connection: Connection) -> None:
    """Hold the lock as long as this connection lives.

    Asked for again and again, because a statement that waits for it would hold a snapshot, and an index that the
    other process builds concurrently waits for every snapshot.
    """
    while True:
        ours = connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        if ours:
            return
        time.sleep(LOOK_AGAIN)


async def _run() -> None:
    opening = partial(connect, context.config.attributes["database_url"], timeout=10)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=opening, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


asyncio.run(_run())
