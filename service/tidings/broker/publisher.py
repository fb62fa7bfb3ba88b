"""Step six, republish: persistent, mandatory, confirmed, within a time limit."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Final

import structlog
from aiormq.exceptions import ChannelNotFoundEntity

from tidings.broker.connection import BrokerConnection
from tidings.broker.wire.amqp import CONNECTION_ERRORS, explain, open_channel
from tidings.broker.wire.confirms import ConfirmingChannel, Nacked, Returned
from tidings.broker.wire.properties import our_properties, producers_properties
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.settings import BrokerSettings
from tidings_events.routing import EXCHANGE

log = structlog.get_logger(__name__)

Headers = Mapping[str, str | int]

RENEWED: Final = 5.0
"""Least age in seconds of a channel that is replaced after a nack."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A notification to publish as its producer's message."""

    id: str
    routing_key: str
    body: bytes
    published_at: datetime
    app_id: str
    """Its producer."""
    traceparent: str | None = None


class LaneMissing(BrokerUnavailable):
    """No queue is bound for it."""


class LaneRefused(BrokerUnavailable):
    """Its queue is full, or just starting."""


class NoConfirm(BrokerUnavailable):
    """RabbitMQ did not answer in time."""


class BrokerPublisher:
    """Publishes on a connection of its own: a broker that blocks publishers must not block acks.

    Each message is new. Headers of the message before it, `x-death` above all, are never copied: on RabbitMQ ≤ 3.13
    that triggers cycle detection, and messages are dropped.
    """

    def __init__(self, settings: BrokerSettings, connection: BrokerConnection) -> None:
        self._timeout = settings.amqp_timeout
        self._connection = connection
        self._channel: ConfirmingChannel | None = None
        self._opened = 0.0
        self._opening = asyncio.Lock()
        self._afterwards: set[asyncio.Task[None]] = set()

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers,
        content_type: str = "application/json",
    ) -> None:
        """Publish one message and wait for the confirm.

        Raises:
            BrokerUnavailable: It is not confirmed. It may still be in its queue: if it is published again, its id
                marks the duplicate.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        message_id = token_hex(16)  # unique per publish: returns are matched by it
        properties = our_properties(message_id, headers, content_type)
        try:
            channel = self._live or await self._open_in_time()
            await channel.basic_publish(
                body,
                message_id,
                exchange=exchange,
                routing_key=routing_key,
                properties=properties,
                mandatory=True,
                within=began + self._timeout - loop.time(),
            )
        except (Returned, ChannelNotFoundEntity):
            await self._connection.redeclare(began)
            raise BrokerUnavailable(
                f"no queue for {_where(exchange, routing_key)}; the topology was declared again"
            ) from None
        except Nacked:
            self._retire(channel)
            raise BrokerUnavailable(
                f"RabbitMQ refused a message for {_where(exchange, routing_key)}: its queue is full, or just starting"
            ) from None
        except CONNECTION_ERRORS as error:
            where = _where(exchange, routing_key)
            raise BrokerUnavailable(f"not confirmed: {where}: {explain(error)}") from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # aiormq cancels the opening of a channel if the connection is lost
            where = _where(exchange, routing_key)
            raise BrokerUnavailable(f"not confirmed: {where}: the connection was lost") from None

    async def publish_all(
        self, publications: Sequence[Publication], *, within: float
    ) -> list[BrokerUnavailable | None]:
        """Publish all at once, in this order, and wait for the confirms; why each is not confirmed, or None.

        What is not confirmed may still be in its queue.

        Args:
            within: Seconds for all of it.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(within):
                channel = self._live or await self._open()
            sent = [_sent(channel, publication) for publication in publications]
        except (BrokerUnavailable, *CONNECTION_ERRORS) as error:
            failure = BrokerUnavailable(f"not published: {explain(error)}")
            return [failure] * len(publications)
        try:
            answers = [answer for _, answer in sent]
            await asyncio.wait(answers, timeout=max(0.0, began + within - loop.time()))
            failures = [_failure(answer, within) for answer in answers]
        finally:
            for message_id, answer in sent:
                channel.forget(message_id)
                answer.cancel()
        if any(isinstance(failure, LaneRefused) for failure in failures):
            self._retire(channel)
        if any(isinstance(failure, LaneMissing) for failure in failures):
            self._later(self._redeclare(began))
        return failures

    async def _redeclare(self, missed_at: float) -> None:
        try:
            await self._connection.redeclare(missed_at)
        except TidingsError as error:
            log.warning("topology not declared again", error=str(error))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    @property
    def _live(self) -> ConfirmingChannel | None:
        channel = self._channel
        return None if channel is None or channel.is_closed else channel

    async def _open_in_time(self) -> ConfirmingChannel:
        async with asyncio.timeout(self._timeout):
            return await self._open()

    async def _open(self) -> ConfirmingChannel:
        async with self._opening:
            channel = self._live
            if channel is None:
                connection = await self._connection.get()
                opened = await open_channel(connection, self._timeout)
                channel = self._channel = ConfirmingChannel(opened, connection.frames)
                self._opened = asyncio.get_running_loop().time()
            return channel

    def _retire(self, channel: ConfirmingChannel) -> None:
        """Publish on another channel from now on, and close this one once no publish waits on it.

        RabbitMQ (3.10 to 4.0) informs a channel that a queue is full, but not that its limit was removed: the channel
        would nack for ever.
        """
        loop = asyncio.get_running_loop()
        if self._channel is channel and loop.time() - self._opened > RENEWED:
            self._channel = None
            self._later(self._close_later(channel))

    async def _close_later(self, channel: ConfirmingChannel) -> None:
        await asyncio.sleep(self._timeout)
        try:
            async with asyncio.timeout(self._timeout):
                await channel.close()
        except CONNECTION_ERRORS as error:
            log.debug("closing a channel that was refused a message", error=explain(error))


def _where(exchange: str, routing_key: str) -> str:
    return f"{exchange or 'the default exchange'} with key {routing_key!r}"


def _sent(
    channel: ConfirmingChannel, publication: Publication
) -> tuple[str, "asyncio.Future[None]"]:
    message_id = token_hex(16)
    properties = producers_properties(
        message_id,
        publication.id,
        publication.published_at,
        publication.app_id,
        publication.traceparent,
    )
    answer = channel.begin(
        publication.body,
        message_id,
        exchange=EXCHANGE,
        routing_key=publication.routing_key,
        properties=properties,
        mandatory=True,
    )
    return message_id, answer


def _failure(answer: "asyncio.Future[None]", within: float) -> BrokerUnavailable | None:
    if not answer.done():
        return NoConfirm(f"RabbitMQ did not confirm within {within:g}s")
    if answer.cancelled():
        return BrokerUnavailable("not confirmed: the connection was lost")
    match answer.exception():
        case None:
            return None
        case Returned() | ChannelNotFoundEntity():
            return LaneMissing("no queue is bound for it")
        case Nacked():
            return LaneRefused("RabbitMQ refused it: its queue is full, or just starting")
        case error:
            return BrokerUnavailable(f"not confirmed: {explain(error)}")
