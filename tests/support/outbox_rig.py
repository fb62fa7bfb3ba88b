"""A producer's database with an outbox, and a lane that takes whatever a relay publishes."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from tests.support.worker_rig import eventually

from tidings_events import EmailNotification
from tidings_events.outbox import OutboxRelay, add, install_sql
from tidings_events.routing import EXCHANGE


def email(subject: str = "Hello", priority: str = "normal") -> EmailNotification:
    """A notification."""
    return EmailNotification.model_validate(
        {
            "recipient": "ada@example.com",
            "subject": subject,
            "body": "How are you?",
            "priority": priority,
        }
    )


class OutboxRig:
    """Everything a test of the outbox needs."""

    def __init__(
        self,
        dsn: str,
        broker_url: str,
        database: "asyncpg.Connection[asyncpg.Record]",
        channel: AbstractChannel,
    ) -> None:
        self.dsn = dsn
        self.schema = f"s{secrets.token_hex(6)}"
        self.broker_url = broker_url
        self.database = database
        self.channel = channel
        self._queue: AbstractQueue | None = None

    async def install(self) -> None:
        """Make the table, for whoever names no schema too."""
        await self.database.execute(f"CREATE SCHEMA {self.schema}")
        await self.database.execute(install_sql(self.schema))
        await self.database.execute(f"SET search_path = {self.schema}")

    async def bind(self, key: str = "#", **arguments: object) -> None:
        """Make Tidings' exchange, and a quorum queue that takes what has this key."""
        exchange = await self.channel.declare_exchange(EXCHANGE, "topic", durable=True)
        self._queue = await self.channel.declare_queue(
            "lane", durable=True, arguments={"x-queue-type": "quorum", **arguments}
        )
        await self._queue.bind(exchange, key)

    @asynccontextmanager
    async def relaying(self, **how: object) -> AsyncIterator[OutboxRelay]:
        """A relay in this process."""
        async with OutboxRelay(
            str(how.pop("dsn", self.dsn)),
            str(how.pop("broker_url", self.broker_url)),
            **{"schema": self.schema, **how},  # type: ignore[arg-type]  # as the test says
        ) as relay:
            yield relay

    async def add(self, *subjects: str) -> list[UUID]:
        """Insert notifications and commit; their ids."""
        notifications = [email(subject) for subject in subjects]
        await add(self.database, *notifications, schema=self.schema)
        return [notification.id for notification in notifications]

    async def insert(self, body: Mapping[str, object], headers: str = "{}") -> UUID:
        """Insert as a producer in any language does."""
        id = uuid4()
        text = json.dumps({"id": str(id), **body})
        statement = "INSERT INTO tidings_outbox (body, headers) VALUES ($1, $2)"
        await self.database.execute(statement, text, headers)
        return id

    async def states(self) -> dict[UUID, str]:
        """The state of each row."""
        rows = await self.database.fetch("SELECT id, state FROM tidings_outbox ORDER BY position")
        return {UUID(str(row["id"])): row["state"] for row in rows}

    async def drained(self) -> None:
        """Wait until no row is pending."""

        async def nothing_pending() -> bool:
            return "pending" not in (await self.states()).values()

        await eventually(nothing_pending)

    async def taken(self, count: int) -> list[AbstractIncomingMessage]:
        """The next messages of the lane."""
        assert self._queue is not None
        messages: list[AbstractIncomingMessage] = []
        if not count:
            return messages
        async with asyncio.timeout(10), self._queue.iterator() as coming:
            async for message in coming:
                await message.ack()
                messages.append(message)
                if len(messages) == count:
                    break
        return messages

    async def in_the_lane(self) -> list[AbstractIncomingMessage]:
        """Whatever is in the lane now."""
        assert self._queue is not None
        declared = await self.channel.declare_queue("lane", passive=True)
        messages = await self.taken(declared.declaration_result.message_count or 0)
        while (message := await self._queue.get(no_ack=True, fail=False)) is not None:
            messages.append(message)
        return messages


def subjects(messages: list[AbstractIncomingMessage]) -> list[str]:
    """What they are about."""
    return [json.loads(message.body)["subject"] for message in messages]


def ids(messages: list[AbstractIncomingMessage]) -> list[UUID]:
    """The ids of the notifications in them."""
    return [UUID(json.loads(message.body)["id"]) for message in messages]


@asynccontextmanager
async def outbox_rig(dsn: str, broker_url: str) -> AsyncIterator[OutboxRig]:
    """A rig with the table installed; nothing is declared at the broker."""
    database = await asyncpg.connect(dsn)
    try:
        connection = await aio_pika.connect(broker_url)
        async with connection, connection.channel() as channel:
            rig = OutboxRig(dsn, broker_url, database, channel)
            await rig.install()
            yield rig
    finally:
        await database.close()
