"""Checks the permissions of our RabbitMQ user in practice: declare, bind, publish, consume."""

import asyncio
import time
from uuid import uuid4

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused, DeliveryError
from pamqp import commands as spec

from tidings.broker.topology.layout import DEAD, RETRY
from tidings.broker.wire.amqp import CONNECTION_ERRORS, explain, open_channel
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError
from tidings_events.routing import EXCHANGE as NOTIFICATIONS


async def round_trip(connection: AbstractConnection, timeout: float) -> float:
    """Seconds of one message's way through a temporary queue. Leaves nothing behind.

    The queue's name starts with `tidings.`, as permissions are given by name; with its dead-letter
    exchanges RabbitMQ also checks that we may write to those.

    Raises:
        ConfigurationError: RabbitMQ refuses a step; says which.
        BrokerUnavailable: The message did not come back in time.
    """
    try:
        async with asyncio.timeout(timeout):
            channel = await open_channel(connection, timeout)
            try:
                return await _round_trip(channel)
            finally:
                if not channel.is_closed:
                    await channel.close()
    except ChannelAccessRefused as error:
        raise ConfigurationError(explain(error)) from error
    except (*CONNECTION_ERRORS, DeliveryError) as error:
        raise BrokerUnavailable(explain(error)) from error


async def _round_trip(channel: AbstractChannel) -> float:
    queue = f"tidings.doctor.{uuid4().hex[:12]}"
    for exchange in (NOTIFICATIONS, DEAD):
        await _declare(channel, f"{queue}.{exchange}", dead_letter_exchange=exchange)
    queue = f"{queue}.{DEAD}"
    await channel.queue_bind(queue, RETRY, queue)
    arrived = asyncio.Event()

    async def take(_: DeliveredMessage) -> None:  # aiormq wants a coroutine
        arrived.set()

    await channel.basic_consume(queue, take, no_ack=True)
    began = time.perf_counter()
    await channel.basic_publish(
        b"{}",
        exchange=RETRY,
        routing_key=queue,
        mandatory=True,
        properties=spec.Basic.Properties(message_id=uuid4().hex),
    )
    await arrived.wait()
    return time.perf_counter() - began


async def _declare(channel: AbstractChannel, name: str, *, dead_letter_exchange: str) -> None:
    await channel.queue_declare(
        name,
        exclusive=True,
        auto_delete=True,
        arguments={
            "x-queue-type": "classic",  # exclusive queues can't be quorum queues, whatever the default
            "x-dead-letter-exchange": dead_letter_exchange,
        },
    )
