"""The RabbitMQ and the PostgreSQL that all contenders share in one run."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import asyncpg

from benchmarks.machine import memory_gb
from tidings.ledger import migrate
from tidings_local.management import Management
from tidings_local.stack import Stack

DATABASE: Final = "bench"
QUORUM_VHOST: Final = "quorum"
"""Where queues are quorum queues unless they say otherwise, for those who can't say it."""

PEER_TABLES: Final = """
CREATE TABLE IF NOT EXISTS peer_notifications (
    id          uuid PRIMARY KEY,
    channel     text NOT NULL,
    priority    text NOT NULL,
    category    text NOT NULL,
    recipient   text NOT NULL,
    payload     jsonb NOT NULL,
    state       text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS peer_attempts (
    notification_id uuid NOT NULL,
    attempt         integer NOT NULL,
    started_at      timestamptz NOT NULL,
    duration_ms     real NOT NULL,
    state           text NOT NULL,
    PRIMARY KEY (notification_id, attempt)
);
"""
"""What the peers record: the same facts, without the rest that Tidings keeps of a notification."""

ADVISED: Final = {"max_wal_size": "4GB", "shared_buffers": "{quarter}MB"}
"""Settings that docs/operations.md advises for production; the others are a laptop's."""
MOST_BUFFERS: Final = 2048
"""Megabytes."""

EMPTY: Final = """
TRUNCATE notifications, attempts, transitions, idempotency_holders, dead_letters, dead_letter_deltas, dead_letter_hours,
         dead_letter_categories,
         open_dead_letters, outcome_deltas, outcome_rollups, channel_rollups, jobs, job_items,
         outbox_batches, inbox_messages, inbox_users, peer_notifications, peer_attempts
"""


class Servers:
    """Private servers for one run. Use it with `with`."""

    def __init__(self, data: Path) -> None:
        """Starts nothing yet; `data` is for everything they write."""
        self._stack = Stack(data)

    @property
    def database_url(self) -> str:
        return self._stack.postgresql.url(DATABASE)

    @property
    def versions(self) -> dict[str, str]:
        """Of the servers."""
        version = str(self.sql("SHOW server_version")[0][0]).split()[0]
        return {"RabbitMQ": self._stack.rabbitmq.version, "PostgreSQL": version}

    def __enter__(self) -> Self:
        self._stack.start()
        try:
            self._prepare()
        except BaseException:
            self._stack.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.stop()

    def sql(self, statement: str, *values: object) -> Sequence[Any]:
        """Run one statement, or several without values; its rows."""
        return asyncio.run(_run(self.database_url, statement, values))

    def empty(self) -> None:
        """Forget what was recorded, and have it on disk, so that the next starts like the last."""
        self.sql(EMPTY)
        self.sql("CHECKPOINT")

    def url(self, vhost: str) -> str:
        """Where to connect to a virtual host."""
        return self._stack.rabbitmq.url(vhost)

    def _prepare(self) -> None:
        postgresql = self._stack.postgresql
        quarter = min(int(memory_gb() * 1024 / 4), MOST_BUFFERS)
        for name, value in ADVISED.items():
            setting = value.format(quarter=quarter)
            asyncio.run(_run(postgresql.url(), f"ALTER SYSTEM SET {name} = '{setting}'", ()))
        postgresql.stop()
        postgresql.start()
        url = postgresql.url()
        asyncio.run(_run(url, f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)', ()))
        asyncio.run(_run(url, f'CREATE DATABASE "{DATABASE}"', ()))
        asyncio.run(migrate(self.database_url))
        self.sql(PEER_TABLES)
        asyncio.run(self._create_vhost(QUORUM_VHOST))

    async def _create_vhost(self, name: str) -> None:
        management = Management(self._stack.rabbitmq.management_login_url, name)
        kind = {"default_queue_type": "quorum"}
        await management.call("PUT", f"vhosts/{quote(name, safe='')}", kind)
        await management.allow(self._stack.rabbitmq.user)


async def _run(url: str, statement: str, values: Sequence[object]) -> Sequence[Any]:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        if not values and statement.count(";"):
            await connection.execute(statement)
            return []
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()
