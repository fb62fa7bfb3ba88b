"""Archives and replays in this process, on a real broker and database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import aio_pika
from tests.support.attempts import read_in_its_lane
from tests.support.broker_rig import ONE_TIER
from tests.support.worker_rig import Rig, eventually

from tidings.archive import Archive
from tidings.broker import dead_letter_headers
from tidings.broker.connection import BrokerConnection
from tidings.broker.topology.layout import DEAD
from tidings.delivery.attempt import Message
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings.ledger import PostgresLedger
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.operators.heartbeat import beating
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import replays
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.replays import ReplayRequest, ReplaySummary
from tidings.operations.jobs.hosting import JobHost, scheduler_runs
from tidings.runtime.background import BackgroundTask


def written(id: UUID | None = None, **fields: object) -> bytes:
    """A notification as a producer writes it: an email, unless `channel` says otherwise."""
    email = {"channel": "email", "recipient": "ada@example.com", "subject": "Hello"}
    common = {"id": str(id or uuid4()), "version": 1, "body": "How are you?"}
    return json.dumps({**({} if "channel" in fields else email), **common, **fields}).encode()


def rejected(message: str = "mailbox unavailable", code: str = "550 5.1.1") -> Undeliverable:
    """What a worker says of a bad address."""
    return Undeliverable(
        Reason.REJECTED, Failure("rejected", message, "smtp:mail.example.com", code)
    )


def environment_of(rig: "DeadLetterRig") -> dict[str, str]:
    """The settings of a rig, for a command."""
    (url,) = rig.settings.broker.urls
    return {
        **ONE_TIER,
        "TIDINGS_AMQP_URL": url,
        "TIDINGS_DATABASE_URL": rig.settings.ledger.database_url.get_secret_value(),
        "TIDINGS_CATEGORIES": "{}",
    }


class DeadLetterRig(Rig):
    """What a test of dead letters needs besides what a worker's needs."""

    @asynccontextmanager
    async def archiving(self, name: str = "archive") -> AsyncIterator[Archive]:
        """A running archive; leaving stops it gracefully."""
        async with self.ledger(name) as ledger:
            archive = Archive(self.settings, self.topology, ledger, self.metrics)
            stop = asyncio.Event()
            task = asyncio.create_task(archive.run(stop))
            try:
                await eventually(lambda: archive.ready or task.done())
                yield archive
            finally:
                stop.set()
                await task

    @asynccontextmanager
    async def declared(self) -> AsyncIterator[BrokerConnection]:
        """The topology, and a connection."""
        async with BrokerConnection(
            self.settings.broker, "test", topology=self.topology
        ) as connection:
            await connection.get()
            yield connection

    def ledger(self, name: str = "test") -> PostgresLedger:
        """A ledger of its own, as another process has it."""
        return PostgresLedger(self.settings.ledger, actor=f"{name} {uuid4().hex[:6]}")

    async def make_dead_letter(
        self,
        body: bytes | None = None,
        *,
        outcome: Undeliverable | None = None,
        key: str = "email.normal",
        headers: dict[str, object] | None = None,
    ) -> UUID:
        """Publish a dead letter as a worker does; the notification's id."""
        body = written() if body is None else body
        attempt = read_in_its_lane(Message(body, key, headers or {}))
        await self.publish_dead(
            body,
            dict(dead_letter_headers.headers_of(attempt, outcome or rejected(), "worker test")),
            key,
        )
        return attempt.id

    async def publish_dead(
        self,
        body: bytes,
        headers: dict[str, object],
        key: str = "email.normal",
        **properties: object,
    ) -> None:
        """Publish straight to the dead letters, as anybody may."""
        exchange = await self._broker.get_exchange(DEAD, ensure=False)
        message = aio_pika.Message(
            body,
            delivery_mode=2,
            headers=headers,  # type: ignore[arg-type]  # tests forge them
            **properties,  # type: ignore[arg-type]
        )
        await exchange.publish(message, key)

    async def next_in_lane(self, lane: str) -> bytes:
        """The next message of a lane, once there is one; it is taken."""
        queue = await self._broker.get_queue(lane, ensure=False)
        found: list[bytes] = []

        async def arrived() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                found.append(message.body)
            return bool(found)

        await eventually(arrived, within=20)
        return found[0]

    async def dead_letters(self, count: int = 1, within: float = 15) -> list[dict[str, object]]:
        """The dead letters in the ledger, once there are so many, oldest first."""
        found: list[dict[str, object]] = []

        async def stored() -> bool:
            found[:] = await self.fetch("SELECT * FROM dead_letters ORDER BY dead_lettered_at, id")
            return len(found) >= count

        await eventually(stored, within)
        return found

    async def archived(self, *bodies: bytes) -> list[UUID]:
        """Store dead letters, archive them, and return their ids."""
        async with self.archiving():
            for body in bodies:
                await self.make_dead_letter(body)
            found = await self.dead_letters(len(bodies))
        places = {body: place for place, body in enumerate(bodies)}
        ordered = sorted(found, key=lambda row: places.get(row["body"], -1))  # type: ignore[call-overload]
        return [UUID(str(row["id"])) for row in ordered]

    @asynccontextmanager
    async def backend(self, name: str = "cli") -> AsyncIterator[Backend]:
        """The connections of another process."""
        async with self.ledger(name) as ledger:
            yield Backend(self.settings, ledger)

    @asynccontextmanager
    async def hosting(self, *, seen: bool = True) -> AsyncIterator[None]:
        """A scheduler's job host.

        Args:
            seen: Whether its heartbeat is there.
        """
        async with self.backend("scheduler") as backend, AsyncExitStack() as stack:
            if seen:
                beat = beating(
                    backend.ledger.processes, backend.ledger.actor, ["scheduler"], (), "", None
                )
                await stack.enter_async_context(beat)
                await eventually(lambda: scheduler_runs(backend))
            host = BackgroundTask("run jobs", JobHost(backend).run_for_ever)
            stack.push_async_callback(host.end)
            yield

    async def replay(
        self, wanted: DeadLetterFilter | None = None, plan: Plan | None = None
    ) -> ReplaySummary:
        """Replay as the command does."""
        plan = plan or Plan(watch=0)
        request = ReplayRequest(
            DeadLetterQuery(narrowed=wanted or DeadLetterFilter()), every=True, force=plan.force
        )
        async with self.ledger("cli") as ledger:
            backend, actor = Backend(self.settings, ledger), Actor("cli", ledger.actor)
            choice = await replays.choose(backend, actor, request, plan, preview=False)
            return (await replays.replay(backend, actor, choice.job)).summary
