"""Declares the topology, and reports what differs in RabbitMQ."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from tidings.broker.topology.layout import Exchange, Queue, Topology
from tidings.broker.wire.amqp import open_channel
from tidings.broker.wire.session import BrokerSession
from tidings.delivery.errors import ConfigurationError

log = structlog.get_logger(__name__)


class MayNotDeclare(ConfigurationError):
    """Our user has no permission to declare; the message quotes RabbitMQ."""


async def ensure(connection: AbstractConnection, topology: Topology, timeout: float) -> None:
    """Declare everything; if our user may not, check that it exists.

    Bindings can't be checked: messages published without one are returned. From RabbitMQ 4.3 on a user
    sees only what it may use, and needs no more.

    Raises:
        ConfigurationError: A queue or exchange has other arguments, or is missing and may not be declared.
    """
    try:
        await declare(connection, topology, timeout)
    except MayNotDeclare as refused:
        session = BrokerSession(connection, timeout)
        for exchange in topology.exchanges:
            look = partial(_look_for_exchange, exchange.name)
            await _see(session, f"exchange {exchange.name}", look, refused)
        for queue in topology.queues:
            await _see(
                session, f"queue {queue.name}", partial(_look_for_queue, queue.name), refused
            )
        log.info("may not declare, and need not: every exchange and queue in sight is there")


async def declare(connection: AbstractConnection, topology: Topology, timeout: float) -> None:
    """Declare everything; what exists is left as it is.

    Raises:
        MayNotDeclare: Our user has no permission.
        ConfigurationError: A queue or exchange exists with other arguments.
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
    except ChannelAccessRefused as error:
        raise MayNotDeclare(f"RabbitMQ: {error}") from error
    finally:
        if not channel.is_closed:
            await channel.close()


async def _see(
    session: BrokerSession,
    what: str,
    look: Callable[[AbstractChannel], Awaitable[Any]],
    refused: MayNotDeclare,
) -> None:
    try:
        await session.call(look)
    except ChannelNotFoundEntity:
        raise ConfigurationError(
            f"the {what} is missing, and our user may not declare it ({refused}); run `tidings topology "
            "apply` as a user who may"
        ) from None
    except ConfigurationError as hidden:
        log.debug("may not look", what=what, error=str(hidden))


async def _look_for_exchange(name: str, channel: AbstractChannel) -> None:
    await channel.exchange_declare(name, passive=True)


async def _look_for_queue(name: str, channel: AbstractChannel) -> None:
    await channel.queue_declare(name, passive=True)


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
