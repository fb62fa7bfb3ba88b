"""An installation whose inboxes are followed: processes of every role that can be killed, and what it has stored at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from tests.chaos.load import Item, Load
from tests.chaos.roles import Role
from tests.support.inbox_copy import Message
from tests.support.inbox_facts import Owner
from tests.support.ledger_rig import settings_of
from tests.support.relay import Relay
from tests.support.user_tokens import VARIABLES

from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.purging import InboxPeriods, InboxPurging

TIMES: Final = (
    *("created_at", "expires_at", "seen_at", "read_at"),
    *("archived_at", "snoozed_until", "acted_at", "deleted_at"),
)
SILENT: Final = """
WITH locked AS MATERIALIZED (
    SELECT revision FROM inbox_users WHERE tenant = $1 AND user_id = $2 FOR UPDATE
), changed AS (
    UPDATE inbox_messages AS m
       SET read_at = CASE WHEN m.read_at IS NULL THEN now() END, revision = locked.revision + 1
      FROM locked
     WHERE m.tenant = $1 AND m.user_id = $2
       AND m.id = (SELECT id FROM inbox_messages WHERE tenant = $1 AND user_id = $2 AND deleted_at IS NULL
                    ORDER BY position DESC LIMIT 1)
    RETURNING m.id
)
UPDATE inbox_users SET revision = revision + 1 WHERE tenant = $1 AND user_id = $2 AND EXISTS (SELECT FROM changed)
"""
"""A change as the API makes it, of which nobody tells."""
LOCK: Final = "SELECT FROM inbox_users WHERE tenant = $1 AND user_id = $2 FOR UPDATE"
DELETED_LONG_AGO: Final = """
UPDATE inbox_messages SET deleted_at = deleted_at - interval '8 days'
 WHERE tenant = $1 AND user_id = $2 AND deleted_at IS NOT NULL RETURNING id::text
"""
PURGE: Final = "SELECT tidings_purge_inboxes(1000000)"
UNSETTLED: Final = """
SELECT EXISTS (SELECT FROM notifications WHERE finished_at IS NULL)
    OR EXISTS (SELECT FROM inbox_messages
                WHERE deleted_at IS NULL AND least(snoozed_until, expires_at) < now() + interval '1 minute')
"""
READY_WITHIN: Final = 120.0


def shown(row: "asyncpg.Record") -> Message:
    """A row of the table as a client is shown it, times as `comparable` has them."""
    message = {name: value for name, value in row.items() if name not in {"tenant", "user_id"}}
    message["id"] = str(row["id"])
    message["data"] = row["data"] and json.loads(row["data"])
    kind, name = message.pop("entity_type"), message.pop("entity_id")
    message["entity"] = None if kind is None else {"type": kind, "id": name}
    actions = json.loads(row["actions"]) if row["actions"] else []
    message["actions"] = [{"url": None, **action} for action in actions]
    return message


def comparable(message: Message) -> Message:
    """A message of the API with times that can be compared."""
    times = {name: message[name] and datetime.fromisoformat(message[name]) for name in TIMES}
    return {**message, **times}


@dataclass
class InboxInstallation:
    """Use `installed`. Implements `Installation` of the operations."""

    database: "asyncpg.Pool[asyncpg.Record]"
    load: Load
    relay: Relay
    roles: Mapping[str, Sequence[Role]]
    purging: InboxPurging
    purged: set[str] = field(default_factory=set)
    kills: dict[str, int] = field(default_factory=dict)
    _restarts: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def addresses(self) -> Sequence[str]:
        """Where the API was last, alive or not."""
        return [f"http://127.0.0.1:{role.api_port}" for role in self.roles["api"]]

    async def deliver(self, notifications: Sequence[Mapping[str, Any]]) -> None:
        """Publish until each is confirmed."""
        items = [
            Item(
                UUID(each["id"]), "in_app", f"in_app.{each['priority']}", json.dumps(each).encode()
            )
            for each in notifications
        ]
        await self.load.publish(iter(items))

    async def change_silently(self, owner: Owner) -> None:
        """Change a message, and lose the hint."""
        await self.database.execute(SILENT, owner.tenant, owner.user_id)

    async def purge(self, owner: Owner) -> None:
        """Remove all tombstones, as if they were a week old."""
        async with self.database.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, owner.tenant, owner.user_id)
            rows = await connection.fetch(DELETED_LONG_AGO, owner.tenant, owner.user_id)
            await connection.execute(PURGE)
        self.purged |= {row["id"] for row in rows}

    async def erase(self, owner: Owner) -> None:
        """Empty all messages of a user, as `tidings erase` does."""
        async for _ in self.purging.erase([owner.user_id], [], owner.tenant):
            pass

    async def kill(self, role: str) -> None:
        """SIGKILL the next process of a role, and start it again; nothing, as long as the last one is not back."""
        if self._restarts.get(role) is None or self._restarts[role].done():
            self._restarts[role] = asyncio.create_task(self._killed(role))

    async def _killed(self, role: str) -> None:
        number = self.kills.get(role, 0)
        victim = self.roles[role][number % len(self.roles[role])]
        await victim.kill()
        self.kills[role] = number + 1
        await victim.start()
        await victim.ready(READY_WITHIN)

    async def cut_hints(self) -> None:
        """Cut the connections of the API to RabbitMQ."""
        self.relay.cut()

    async def back(self) -> None:
        """Wait until everything that was killed is ready again."""
        for restart in self._restarts.values():
            await restart

    async def settled(self) -> bool:
        """Whether nothing is on its way, and nothing will change by itself within a minute."""
        return not await self.database.fetchval(UNSETTLED)


@asynccontextmanager
async def installed(
    broker_url: str,
    database_url: str,
    folder: Path,
    *,
    apis: int = 2,
    mutant: str | None = None,
    **extra: str,
) -> AsyncIterator[InboxInstallation]:
    """Processes of the API, a worker and a scheduler, ready; killed at the end.

    Args:
        mutant: Start them with a protection taken out (tests/chaos/mutants.py).
        extra: Settings.
    """
    env = {
        "TIDINGS_AMQP_URL": broker_url,
        "TIDINGS_AMQP_BACKOFF_MAX": "1s",
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_LEASE_MARGIN": "2s",
        "TIDINGS_IN_APP_SEND_TIMEOUT": "3s",
        "TIDINGS_IN_APP_RETRY": "1s 2s",
        "TIDINGS_LOG_FORMAT": "json",
        **VARIABLES,
        **extra,
    }
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(Relay(broker_url))
        behind = {**env, "TIDINGS_AMQP_URL": relay.url}

        def role(name: str, kind: str, its: Mapping[str, str]) -> Role:
            return Role(name, [kind], its, folder, mutant=mutant, forks=True)

        roles = {
            "api": [role(f"api-{it}", "api", behind) for it in range(apis)],
            "worker": [role("worker", "worker", env)],
            "scheduler": [role("scheduler", "scheduler", env)],
        }
        every = [each for them in roles.values() for each in them]
        stack.push_async_callback(_end, every)
        await asyncio.gather(*(each.start() for each in every))
        await asyncio.gather(*(each.ready(READY_WITHIN) for each in every))
        database = await stack.enter_async_context(
            asyncpg.create_pool(database_url, min_size=1, max_size=4)
        )
        load = await stack.enter_async_context(
            Load(lambda: broker_url, folder / "journal.tsv", tasks=4)
        )
        ledger = await stack.enter_async_context(PostgresDatabase(settings_of(database_url)))
        purging = InboxPurging(ledger, InboxPeriods(0, 0))
        yield InboxInstallation(database, load, relay, roles, purging)


async def _end(roles: Sequence[Role]) -> None:
    for role in roles:
        if role.running:
            await role.kill()
