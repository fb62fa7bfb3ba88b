"""A virtual host as a client sees it that is not Tidings: publishes, takes, counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import SecretStr
from tests.support.worker_rig import eventually

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.layout import Topology, topology
from tidings.broker.wire.amqp import connect
from tidings.delivery.delay import Delay
from tidings.settings import BrokerSettings

LANE = "tidings.email.high"
SMALL = topology({"email": [Delay(1)]})
"""One channel, one retry queue of a second."""
ONE_TIER = {f"TIDINGS_{it}_RETRY": "1s" for it in ("EMAIL", "SMS", "WHATSAPP", "WEBHOOK", "IN_APP")}
"""Settings for half as many queues: most of what a test with the whole topology costs is declaring them."""
QUORUM = {"x-queue-type": "quorum"}


def settings_of(*urls: str, timeout: float = 5.0, **fields: Any) -> BrokerSettings:
    """Settings for a broker."""
    secrets = tuple(SecretStr(url) for url in urls)
    return BrokerSettings(amqp_url=secrets, amqp_timeout=timeout, amqp_backoff_max=1.0, **fields)


class BrokerRig:
    """Another client in the same virtual host."""

    def __init__(self, url: str, channel: AbstractChannel) -> None:
        self.settings = settings_of(url)
        self.channel = channel

    async def declare(self, wanted: Topology = SMALL) -> None:
        """Make the topology so, as every role does when it connects."""
        connection = await connect(self.settings.urls[0], self.settings, "declaring")
        try:
            await declare(connection, wanted, self.settings.amqp_timeout)
        finally:
            await connection.close()

    async def publish(
        self, key: str = "email.high", *bodies: bytes, exchange: str = "tidings.notifications"
    ) -> None:
        """Publish, confirmed."""
        target = await self.channel.get_exchange(exchange, ensure=False)
        for body in bodies:
            await target.publish(aio_pika.Message(body, delivery_mode=2), key)

    async def take(self, queue: str = LANE, within: float = 10) -> AbstractIncomingMessage:
        """The next message of a queue, taken off it."""
        source = await self.channel.get_queue(queue, ensure=False)
        found: list[AbstractIncomingMessage] = []

        async def arrived() -> bool:
            message = await source.get(no_ack=True, fail=False)
            if message is not None:
                found.append(message)
            return bool(found)

        await eventually(arrived, within)
        return found[0]

    async def depth(self, queue: str = LANE) -> int:
        """Messages ready in a queue."""
        declared = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


@asynccontextmanager
async def broker_rig(url: str) -> AsyncIterator[BrokerRig]:
    """A rig on a connection of its own."""
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        yield BrokerRig(url, channel)
