"""The servers that are killed: one RabbitMQ or three in a cluster, and a PostgreSQL, all private."""

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
from tests.support.other_debian import RabbitMQInFolder, postgresql_home

from tidings_local.errors import LocalStackError
from tidings_local.management import Management
from tidings_local.ports import answers, free_port
from tidings_local.postgres import PostgreSQL
from tidings_local.rabbitmq import RabbitMQ
from tidings_local.rabbitmq_identity import identity
from tidings_local.rabbitmq_programs import RabbitMQPrograms

HELD_AFTER = 4_000
"""Milliseconds after which RabbitMQ tries again to pass on a dead letter that found no queue.

The default is 180,000: a whole run would wait for nothing else. It is read when a queue's leader
starts, so it is set before anything is declared.
"""

_migrating = asyncio.Lock()
"""Alembic's context is one for the whole process."""


class Node(RabbitMQ):
    """One of several that share a cookie and a port mapper."""

    def __init__(self, data: Path, cookie: str, epmd_port: int) -> None:
        super().__init__(data, statistics_interval=0.5)
        self._cookie, self._epmd_port = cookie, epmd_port

    @property
    def name(self) -> str:
        """The node's name."""
        return self._known.node

    def _prepare(self) -> None:
        if self._identity is None:
            fresh = identity(self._directory.recall())
            self._identity = replace(
                fresh, cookie=self._cookie, password=self._cookie.lower(), epmd_port=self._epmd_port
            )
        super()._prepare()

    def _start_epmd(self, programs: RabbitMQPrograms) -> None:
        if not answers(self._epmd_port):
            super()._start_epmd(programs)

    def _stop_epmd(self) -> None:
        """The others still need it; it ends with this process."""

    def end_epmd(self) -> None:
        """Nobody needs it any more."""
        super()._stop_epmd()


class Broker:
    """One RabbitMQ or a cluster, without blocking the event loop that watches it."""

    def __init__(self, nodes: Sequence[RabbitMQ]) -> None:
        self.nodes = list(nodes)
        self.vhost = "/"

    def urls(self) -> list[str]:
        """Where to connect, each node."""
        return [node.url(self.vhost) for node in self.nodes]

    @property
    def management(self) -> Management:
        """The API of the first node that runs."""
        node = next(node for node in self.nodes if node.running())
        return Management(node.management_login_url, self.vhost, timeout=10)

    @property
    def management_url(self) -> str:
        """The same as a URL with credentials."""
        node = next(node for node in self.nodes if node.running())
        return node.management_login_url

    async def start(self) -> None:
        """Start every node; a cluster is joined the first time."""
        first, *others = self.nodes
        await asyncio.to_thread(first.start)  # and with it the port mapper of all
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in others))
        for node in others:
            await asyncio.to_thread(_join, node, first)
        await self.evaluate(
            f"application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, {HELD_AFTER})."
        )

    async def fresh_vhost(self) -> None:
        """A virtual host of its own for what follows."""
        self.vhost = f"chaos-{secrets.token_hex(4)}"
        await self.management.create()

    async def drop_vhost(self) -> None:
        """Delete it with all that is in it."""
        await self.management.delete()
        self.vhost = "/"

    async def evaluate(self, code: str) -> None:
        """Run Erlang on every node that runs."""
        for node in self.nodes:
            if node.running():
                await asyncio.to_thread(node.rabbitmqctl, "eval", code)

    async def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl` on the first node that runs."""
        node = next(node for node in self.nodes if node.running())
        return await asyncio.to_thread(node.rabbitmqctl, *arguments)

    async def settle(self) -> None:
        """Have every node write down which queues there are: see `RabbitMQ.settle`."""
        for node in self.nodes:
            if node.running():
                await asyncio.to_thread(node.settle)

    async def kill(self, place: int = 0) -> None:
        """SIGKILL one node."""
        await asyncio.to_thread(self.nodes[place].kill)

    async def revive(self, place: int = 0) -> None:
        """Start it again."""
        await asyncio.to_thread(self.nodes[place].start)
        await self.evaluate(
            f"application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, {HELD_AFTER})."
        )

    async def leader_of(self, queue: str) -> int:
        """Which node leads a queue."""
        found = await self.management.queue(queue)
        names = [node.name for node in self.nodes if isinstance(node, Node)]
        return names.index(str(found["leader"]))

    async def queues(self) -> list[dict[str, Any]]:
        """Every queue with all it holds, as fresh as RabbitMQ has it."""
        path = f"queues/{quote(self.vhost, safe='')}?disable_stats=true&enable_queue_totals=true"
        return [dict(row) for row in await self.management.call("GET", path)]

    def close(self) -> None:
        """End them without ceremony."""
        for node in self.nodes:
            node.close()
        for node in self.nodes:
            if isinstance(node, Node):
                node.end_epmd()


def _join(node: RabbitMQ, first: RabbitMQ) -> None:
    assert isinstance(node, Node)
    assert isinstance(first, Node)
    if first.name in node.rabbitmqctl("eval", "rabbit_nodes:all_running()."):
        return
    for arguments in (["stop_app"], ["join_cluster", first.name], ["start_app"]):
        node.rabbitmqctl(*arguments)


class Servers:
    """Everything that is started once for a run of scenarios."""

    def __init__(self, rabbitmq: RabbitMQ, postgresql: PostgreSQL, data: Path) -> None:
        self._data = data
        self.broker = Broker([rabbitmq])
        self.postgresql = postgresql
        self._cluster: Broker | None = None
        self._template = ""

    async def start(self) -> None:
        """Start the one RabbitMQ and the PostgreSQL."""
        await asyncio.gather(self.broker.start(), asyncio.to_thread(self.postgresql.start))

    async def cluster(self) -> Broker:
        """Three nodes, started when first asked for."""
        if self._cluster is None:
            cookie, port = secrets.token_hex(20).upper(), free_port()
            nodes = [Node(self._data / f"node-{it}", cookie, port) for it in "abc"]
            self._cluster = Broker(nodes)
            await self._cluster.start()
        return self._cluster

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """A database of its own, migrated; its URL."""
        self._template = self._template or await self._migrated()
        name = f"chaos_{secrets.token_hex(4)}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        try:
            yield self.postgresql.url(name)
        finally:
            if not self.postgresql.running():
                await asyncio.to_thread(self.postgresql.start)
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _migrated(self) -> str:
        """A database to make copies of; its name."""
        from tidings.ledger import migrate

        name = f"template_{secrets.token_hex(4)}"
        await self._execute(f'CREATE DATABASE "{name}"')
        async with _migrating:
            await migrate(self.postgresql.url(name))
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.postgresql.url())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def close(self) -> None:
        """End everything."""
        if self._cluster is not None:
            self._cluster.close()
        self.broker.close()
        self.postgresql.stop()  # killed, it would leave shared memory behind


@asynccontextmanager
async def serving(
    *, tree: Path | None = None, fsync: bool = True, statistics_interval: float = 0.5
) -> AsyncIterator[Servers]:
    """The servers, in a directory that PostgreSQL's own user can reach; gone at the end.

    Args:
        tree: Where another Debian's servers are, to be used instead.
        statistics_interval: Seconds between two updates of what the management API tells.
    """
    directory = _reachable()
    async with AsyncExitStack() as stack:
        stack.callback(partial(shutil.rmtree, directory, ignore_errors=True))
        servers = Servers(
            RabbitMQ(
                directory / "rabbitmq", statistics_interval=statistics_interval, spinning=False
            )
            if tree is None
            else RabbitMQInFolder(tree, directory / "rabbitmq"),
            PostgreSQL(
                directory / "postgresql", home=postgresql_home(tree) if tree else None, fsync=fsync
            ),
            directory,
        )
        stack.callback(servers.close)
        await servers.start()
        yield servers


def _reachable() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="tidings-chaos-"))
    directory.chmod(0o711)
    return directory


def readable(value: object) -> str:
    """Anything as JSON, for the folder of a failing run."""
    return json.dumps(value, indent=1, default=str)


__all__ = ["Broker", "LocalStackError", "Node", "Servers", "readable", "serving"]
