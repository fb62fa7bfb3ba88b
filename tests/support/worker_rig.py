"""A worker in this process, on a real broker and database, with a channel that follows a script."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError
from tests.doubles.ledger import unchanged

from tidings.archive import Archive
from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.topology.layout import DEAD, Topology, topology_of
from tidings.delivery import ports
from tidings.delivery.orders import Verb
from tidings.delivery.ports import Channel
from tidings.ledger import PostgresLedger
from tidings.scheduler import Scheduler
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker import Worker
from tidings_events.routing import EXCHANGE

Environment = Callable[[str, str], None]


async def eventually(condition: Callable[[], object], within: float = 10) -> None:
    """Wait until a condition holds; it may be a coroutine function."""
    async with asyncio.timeout(within):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.02)


class Rig:
    """Everything a test of the worker needs."""

    def __init__(self, settings: Settings, templates: Path, broker: AbstractChannel) -> None:
        self.settings = settings
        self.topology: Topology = topology_of(settings)
        self.templates = Templates(templates)
        self.metrics = Metrics()
        self.workers: list[Worker] = []
        """Every worker so far, in the order in which they were started."""
        self._broker = broker
        self._asking: asyncpg.Connection[asyncpg.Record] | None = None
        """Kept: connecting takes 8 ms of CPU, and `eventually` asks fifty times a second."""
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            await self._asking.close()

    @asynccontextmanager
    async def working(
        self,
        channel: Channel,
        name: str = "worker",
        changed: Callable[[ports.Ledger], ports.Ledger] = unchanged,
        fallbacks: Mapping[str, Channel] | None = None,
        memory_budget: MemoryBudget | None = None,
    ) -> AsyncIterator[asyncio.Event]:
        """A running worker; leaving stops it gracefully."""
        async with PostgresLedger(
            self.settings.ledger, actor=f"{name} {uuid4().hex[:6]}"
        ) as ledger:
            worker = Worker(
                self.settings,
                self.topology,
                changed(ledger),
                {channel.name: channel},
                self.templates,
                self.metrics,
                fallbacks={channel.name: fallbacks or {}},
                memory_budget=memory_budget,
            )
            self.workers.append(worker)
            stop = asyncio.Event()
            task = asyncio.create_task(worker.run(stop))
            try:
                await eventually(lambda: worker.ready or task.done())
                yield stop
            finally:
                stop.set()
                await task

    @asynccontextmanager
    async def scheduling(self) -> AsyncIterator[None]:
        """A running scheduler."""
        async with PostgresLedger(
            self.settings.ledger, actor=f"scheduler {uuid4().hex[:6]}"
        ) as ledger:
            scheduler = Scheduler(self.settings, self.topology, ledger, self.metrics)
            stop = asyncio.Event()
            task = asyncio.create_task(scheduler.run(stop))
            try:
                await eventually(lambda: scheduler.ready or task.done())
                yield
            finally:
                stop.set()
                await task

    @asynccontextmanager
    async def archiving(self, memory_budget: MemoryBudget | None = None) -> AsyncIterator[None]:
        """A running archive."""
        async with PostgresLedger(
            self.settings.ledger, actor=f"archive {uuid4().hex[:6]}"
        ) as ledger:
            archive = Archive(
                self.settings, self.topology, ledger, self.metrics, memory_budget=memory_budget
            )
            stop = asyncio.Event()
            task = asyncio.create_task(archive.run(stop))
            try:
                await eventually(lambda: archive.ready or task.done())
                yield
            finally:
                stop.set()
                await task

    async def order(self, provider: str, verb: Verb, reason: str = "") -> None:
        """What an operator orders of the email channel by `tidings channels`."""
        async with PostgresLedger(self.settings.ledger, actor="cli test") as ledger:
            await ledger.controls.give("email", provider, verb, actor="cli test", note=reason)

    async def connect(self, url: str) -> None:
        """Publish and look at queues there from now on."""
        connection = await aio_pika.connect(url)
        self._broker = await connection.channel()

    async def publish(
        self,
        key: str = "email.normal",
        *,
        body: bytes | None = None,
        headers: dict[str, object] | None = None,
        exchange: str = EXCHANGE,
        app_id: str | None = None,
        **fields: object,
    ) -> UUID:
        """Publish as a foreign producer would: any AMQP client, a body of JSON."""
        written = {
            "id": str(uuid4()),
            "version": 1,
            "channel": "email",
            "recipient": "ada@example.com",
            "subject": "Hello",
            "body": "How are you?",
            **fields,
        }
        target = await self._broker.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(
            json.dumps(written).encode() if body is None else body,
            delivery_mode=2,
            content_type="application/json",
            headers=headers or {},  # type: ignore[arg-type]  # tests forge them
            app_id=app_id,
        )
        await target.publish(message, key)
        return UUID(str(written["id"]))

    async def move(self, source: str, target: str, within: float = 10) -> int:
        """Move messages as the management UI's "Move messages" and a shovel do, once there are any; how many."""
        queue = await self._broker.get_queue(source, ensure=False)

        async def any_there() -> bool:
            return await self.depth(source) > 0

        await eventually(any_there, within)
        moved = 0
        while (message := await queue.get(fail=False)) is not None:
            copy = aio_pika.Message(
                message.body,
                headers=message.headers,
                content_type=message.content_type,
                message_id=message.message_id,
                app_id=message.app_id,
                delivery_mode=2,
            )
            await self._broker.default_exchange.publish(copy, target)
            await message.ack()
            moved += 1
        return moved

    async def publish_until_refused(self, exchange: str, key: str) -> list[UUID]:
        """Publish one after the other until the broker takes no more; what it took."""
        taken: list[UUID] = []
        async with asyncio.timeout(10):
            while True:
                try:
                    taken.append(await self.publish(key, exchange=exchange))
                except DeliveryError:
                    return taken

    async def publish_many(self, count: int, key: str = "email.normal") -> list[UUID]:
        """Publish so many at once."""
        return list(await asyncio.gather(*(self.publish(key) for _ in range(count))))

    async def state(self, id: UUID) -> str | None:
        """The notification's state as the ledger has it."""
        rows = await self.fetch("SELECT state FROM notifications WHERE id = $1", id)
        return rows[0]["state"] if rows else None

    async def reaches(self, id: UUID, state: str, within: float = 10) -> None:
        """Wait until a notification is in a state."""

        async def reached() -> bool:
            return await self.state(id) == state

        await eventually(reached, within)

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, object]]:
        """Ask the database."""
        async with self._turn:
            if self._asking is None or self._asking.is_closed():
                url = self.settings.ledger.database_url.get_secret_value()
                self._asking = await asyncpg.connect(url)
            return [dict(row) for row in await self._asking.fetch(query, *arguments)]

    async def dead_letter(self, within: float = 10) -> AbstractIncomingMessage:
        """The next message among the dead letters, taken off the queue."""
        queue = await self._broker.get_queue(DEAD, ensure=False)
        found: list[AbstractIncomingMessage] = []

        async def arrived() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                found.append(message)
            return bool(found)

        await eventually(arrived, within)
        return found[0]

    async def drained(self) -> bool:
        """Whether nothing waits in a lane or a delay, nor is on its way between them."""
        waiting = [queue.name for queue in self.topology.queues if queue.name != DEAD]
        for _ in range(2):
            if any([await self.depth(name) for name in waiting]):
                return False
        return True

    async def depth(self, queue: str) -> int:
        """Messages ready in a queue."""
        declared = await self._broker.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0
