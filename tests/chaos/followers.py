"""Users whose inboxes are followed while everything breaks: what each client knows at the end has to be what is stored."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import time
from typing import Any, Final
from uuid import UUID

import aiohttp
from tests.chaos.evidence import Recovery
from tests.chaos.load import Item
from tests.chaos.roles import Role
from tests.chaos.world import World
from tests.support.inbox_comparison import HEADS, STORED, behind, differences, heads
from tests.support.inbox_facts import Facts, Owner
from tests.support.inbox_followers import Follower, Net, SocketFollower, StreamFollower
from tests.support.inbox_operations import Operations
from tests.support.user_tokens import VARIABLES

OWNERS: Final = [Owner(tenant, user) for tenant in ("default", "acme") for user in ("ada", "bob")]
KINDS: Final = (SocketFollower, SocketFollower, StreamFollower)
PLAYERS: Final = 3
PAUSE: Final = 0.05
"""Seconds between two operations of a player."""
WEIGHTS: Final = {
    "deliver": 40.0,
    "mark": 40.0,
    "mark_all": 4.0,
    "list_": 6.0,
    "count": 4.0,
    "pause": 60.0,
}
SETTINGS: Final = {
    "TIDINGS_IN_APP_RETRY": "1s 2s 2s 2s",
    "TIDINGS_IN_APP_SEND_TIMEOUT": "3s",
    **VARIABLES,
}

DUE: Final = """
SELECT EXISTS (SELECT FROM inbox_messages
                WHERE deleted_at IS NULL AND least(snoozed_until, expires_at) < now() + interval '1 minute') AS due
"""


class UnderFire(Operations):
    """Operations by users and producers; accidents are the scenario's."""

    async def pause(self, draw: random.Random, owner: Owner) -> None:
        """Nothing, for a moment."""
        del owner
        await asyncio.sleep(2 * PAUSE * draw.random())


@dataclass
class Deliveries:
    """Publishes as the producers of the harness do, into its journal."""

    made: World

    async def deliver(self, notifications: Sequence[Mapping[str, Any]]) -> None:
        """Publish until each is confirmed."""
        items = [
            Item(UUID(it["id"]), _kind(it), "in_app.normal", json.dumps(it).encode())
            for it in notifications
        ]
        await self.made.load.publish(iter(items))


def _kind(notification: Mapping[str, Any]) -> str:
    return "in_app-brief" if "expires_at" in notification else "in_app"


@dataclass
class Followed:
    """Use `followed`."""

    made: World
    apis: Sequence[Role]
    followers: Sequence[Follower]
    operations: UnderFire
    _playing: asyncio.Task[None] | None = None
    _following: Sequence[asyncio.Task[None]] = ()

    async def catch_up(self, after: str, limit: float) -> None:
        """Wait until every client knows all that has happened by now, which has to be in time."""
        limit *= self.made.options.patience
        known, began = heads(await self.made.fetch(HEADS)), time()
        while (late := behind(self.followers, known)) and time() - began < limit + 5:
            self.check()
            await asyncio.sleep(0.05)
        self.made.recoveries.append(Recovery(f"{after}: {late[:2]}", time() - began, limit))

    def check(self) -> None:
        """Raises what is wrong with a client, or with a reply."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def settled(self) -> None:
        """No more operations: everything ends, and every client has what is stored."""
        self.operations.over = True
        assert self._playing is not None
        await self._playing
        await self.made.until(self.made.nothing_left, "every notification ended", 60)
        await self.made.until(self._nothing_due, "snoozes ended, and what expires did", 30)
        await self.catch_up("the end", 20)
        self.check()
        rows = await self.made.fetch(STORED)
        wrong = list(differences(rows, self.followers, self.operations))
        assert not wrong, f"{len(wrong)} differences: {wrong[:3]}"
        self.made.notes.append(
            f"{self.operations.done} operations, {sum(it.copy.frames for it in self.followers)} badges compared, "
            f"{sum(it.connections for it in self.followers)} connections"
        )

    async def _nothing_due(self) -> bool:
        [row] = await self.made.fetch(DUE)
        return not row["due"]

    @property
    def _tasks(self) -> Sequence[asyncio.Task[None]]:
        return [*self._following, *([] if self._playing is None else [self._playing])]

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        self._following = [asyncio.create_task(it.run(), name=it.name) for it in self.followers]
        self._playing = asyncio.create_task(self.operations.play(1 << 30, PLAYERS))
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def followed(made: World, apis: int = 2) -> AsyncIterator[Followed]:
    """API processes, clients of several users, and operations without end."""
    made.env |= SETTINGS
    roles = [await made.add(f"api-{it}", ready=False) for it in range(apis)]
    await asyncio.gather(*(role.ready() for role in roles))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        net = Net(
            session,
            lambda: [f"http://127.0.0.1:{role.api_port}" for role in roles],
            Facts(),
            random.Random(made.options.seed),
        )
        followers = [
            kind(net, owner, f"{kind.__name__} {place}")
            for owner in OWNERS
            for place, kind in enumerate(KINDS)
        ]
        seed = made.random.getrandbits(32)
        operations = UnderFire(seed, net, Deliveries(made), OWNERS, followers, WEIGHTS)
        found = Followed(made, roles, followers, operations)
        async with found._running():
            yield found
