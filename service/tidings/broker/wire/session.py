"""A command's connection to RabbitMQ: opened, a few requests, closed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from tidings.broker.wire.amqp import (
    CONNECTION_ERRORS,
    FramedConnection,
    connect,
    explain,
    open_channel,
)
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError
from tidings.settings import BrokerSettings

Answer = TypeVar("Answer")


@asynccontextmanager
async def connected(settings: BrokerSettings, name: str) -> AsyncIterator[FramedConnection]:
    """A connection to the first URL that answers.

    Raises:
        BrokerUnavailable: None does; has the error of each.
    """
    connection = await _first(settings, name)
    try:
        yield connection
    finally:
        try:
            async with asyncio.timeout(5):
                await connection.close()
        except CONNECTION_ERRORS:
            pass  # it was lost: there is nothing left to close


async def _first(settings: BrokerSettings, name: str) -> FramedConnection:
    faults: list[str] = []
    for url in settings.urls:
        try:
            return await connect(url, settings, name)
        except BrokerUnavailable as error:
            faults.append(str(error))
    raise BrokerUnavailable(f"RabbitMQ is unavailable: {'; '.join(faults)}")


class BrokerSession:
    """Sends requests. RabbitMQ answers some by closing the channel; the next request opens a new one.

    Args:
        connection: Stays open.
        timeout: Seconds for each reply.
    """

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channel; the connection may be used for something else."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._channel is not None and not self._channel.is_closed:
                    await self._channel.close()
        except CONNECTION_ERRORS:
            pass  # it went with its connection

    async def call(self, request: Callable[[AbstractChannel], Awaitable[Answer]]) -> Answer:
        """The reply to one request.

        Raises:
            ChannelNotFoundEntity: There is no such queue or exchange.
            ChannelPreconditionFailed: It has other arguments.
            ConfigurationError: Our user has no permission for it.
            BrokerUnavailable: There was no reply.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if self._channel is None or self._channel.is_closed:
                    self._channel = await open_channel(self._connection, self._timeout)
                return await request(self._channel)
        except (ChannelNotFoundEntity, ChannelPreconditionFailed):
            raise
        except (ChannelAccessRefused, ChannelLockedResource) as error:
            raise ConfigurationError(f"RabbitMQ: {explain(error)}") from error
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"RabbitMQ: {explain(error)}") from error
