"""Runs the migrations on one asyncpg connection, under a lock, in one transaction."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tidings.ledger.encryption import address_of

LOCK = 7_482_910_233
"""Any number that nothing else in the database locks: two migrating processes wait for each other."""


def _migrate(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


async def _run() -> None:
    address = address_of(context.config.attributes["database_url"])

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(address.url, ssl=address.tls)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(_run())
