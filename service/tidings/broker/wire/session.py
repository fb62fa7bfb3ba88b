"""A short visit to the broker, as commands make it: one connection, questions, goodbye."""

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
        BrokerUnavailable: None does; says what each said.
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
    raise BrokerUnavailable(f"RabbitMQ can't be reached: {'; '.join(faults)}")


class BrokerSession:
    """Asks questions of which the broker answers some by closing the channel: the next gets a new one.

    Args:
        connection: Stays open whatever is asked.
        timeout: Seconds for each answer.
    """

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the channel back, where the connection is kept for something else."""
        try:
            async with asyncio.timeout(self._timeout):
                if self._channel is not None and not self._channel.is_closed:
                    await self._channel.close()
        except CONNECTION_ERRORS:
            pass  # it went with its connection

    async def call(self, question: Callable[[AbstractChannel], Awaitable[Answer]]) -> Answer:
        """The answer to one question.

        Raises:
            ChannelNotFoundEntity: There is no such queue or exchange.
            ChannelPreconditionFailed: It has other arguments.
            ConfigurationError: We may not ask that.
            BrokerUnavailable: It did not answer, or not with a word about the question.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if self._channel is None or self._channel.is_closed:
                    self._channel = await open_channel(self._connection, self._timeout)
                return await question(self._channel)
        except (ChannelNotFoundEntity, ChannelPreconditionFailed):
            raise
        except (ChannelAccessRefused, ChannelLockedResource) as error:
            raise ConfigurationError(f"RabbitMQ: {explain(error)}") from error
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"RabbitMQ: {explain(error)}") from error
