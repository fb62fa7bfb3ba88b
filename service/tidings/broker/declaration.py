"""Makes the topology so, and says where RabbitMQ's differs from ours."""

import asyncio

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed

from tidings.broker.amqp import open_channel
from tidings.broker.topology import Exchange, Queue, Topology
from tidings.delivery.errors import ConfigurationError


async def declare(connection: AbstractConnection, topology: Topology, timeout: float) -> None:
    """Declare everything; what is there already is left as it is.

    Raises:
        ConfigurationError: Something there has other arguments; says what and what to do.
    """
    channel = await open_channel(connection, timeout)
    try:
        async with asyncio.timeout(timeout * 4):
            for exchange in topology.exchanges:
                await _exchange(channel, exchange)
            for queue in topology.queues:
                await _queue(channel, queue)
            for binding in topology.bindings:
                await channel.queue_bind(binding.queue, binding.exchange, binding.key)
    finally:
        if not channel.is_closed:
            await channel.close()


async def _exchange(channel: AbstractChannel, exchange: Exchange) -> None:
    try:
        await channel.exchange_declare(
            exchange.name,
            exchange_type=exchange.type,
            durable=True,
            arguments=dict(exchange.arguments),
        )
    except ChannelPreconditionFailed as error:
        raise _differs("exchange", exchange.name, error) from None


async def _queue(channel: AbstractChannel, queue: Queue) -> None:
    try:
        await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    except ChannelPreconditionFailed as error:
        raise _differs("queue", queue.name, error) from None


def _differs(kind: str, name: str, error: AMQPError) -> ConfigurationError:
    return ConfigurationError(
        f"the {kind} {name} exists with other arguments than Tidings needs ({error}); "
        f"`tidings topology check` shows the difference; empty it, delete it and run `tidings topology apply`"
    )
