"""As much of aiormq's channels as Tidings uses, on a broker in memory: the client's end and the broker's."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import (
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
    PublishError,
)
from pamqp import commands as spec
from tests.doubles.memory_broker import Answer, MemoryQueue, ServerConsumer, Stored
from tests.doubles.memory_network import MemoryConnection

Result = TypeVar("Result")
Receive = Callable[[DeliveredMessage], Awaitable[None]]


class MemoryChannel:
    """A channel: its client's side above, the broker's below."""

    def __init__(self, connection: MemoryConnection) -> None:
        self.is_closed = False
        self.closing: asyncio.Future[Any] = connection.network.loop.create_future()
        self.closing.add_done_callback(asyncio.Future.exception)  # nobody may be asking
        self.on_consumer_cancel_callbacks: set[Callable[[Any], None]] = set()
        self._connection = connection
        self._network = connection.network
        self._broker = connection.network.broker
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self._prefetch = 0
        self._tag = 0
        self._begun = 0
        self._unsettled: dict[int, tuple[MemoryQueue, ServerConsumer, Stored]] = {}
        self._consumers: dict[str, tuple[MemoryQueue, ServerConsumer]] = {}
        self._gone = False

    # The client's side.

    async def initialize(self) -> None:
        """Open it."""
        self._usable()

    async def get_underlay_channel(self) -> "MemoryChannel":
        """Both layers are one."""
        return self

    async def exchange_declare(
        self, name: str, *, exchange_type: str, arguments: dict[str, Any], **_: bool
    ) -> None:
        """Have an exchange."""
        self._usable()
        self._broker.declare_exchange(name, exchange_type, arguments)

    async def queue_declare(
        self,
        name: str,
        *,
        arguments: dict[str, Any] | None = None,
        passive: bool = False,
        **_: bool,
    ) -> spec.Queue.DeclareOk:
        """Have a queue, or look how full it is."""
        self._usable()
        if not passive:
            self._broker.declare_queue(name, arguments or {})
        queue = self._broker.queues[name]
        return spec.Queue.DeclareOk(name, len(queue.ready), len(queue.consumers))

    async def queue_bind(self, queue: str, exchange: str, key: str) -> None:
        """Have a binding."""
        self._usable()
        self._broker.bind(queue, exchange, key)

    async def basic_qos(self, *, prefetch_count: int, timeout: float) -> None:
        """How many to hold."""
        del timeout
        self._usable()
        self._prefetch = prefetch_count

    async def basic_consume(
        self, queue: str, receive: Receive, *, timeout: float
    ) -> SimpleNamespace:
        """Begin to receive."""
        async with asyncio.timeout(timeout):
            tag = await self._ask(lambda: self._consume(queue, receive))
        return SimpleNamespace(consumer_tag=tag)

    async def basic_cancel(self, tag: str, *, timeout: float) -> None:
        """Receive no more."""
        async with asyncio.timeout(timeout):
            await self._ask(lambda: self._cancel(tag))

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        """Have the broker forget a message, or all of them so far."""
        del wait
        self._usable()
        self._connection.to_server.send(lambda: self._settle(tag, multiple=multiple))

    async def basic_reject(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        """Give a message back."""
        del wait, requeue
        self._usable()
        self._connection.to_server.send(lambda: self._give_back(tag))

    async def basic_nack(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        """Give a message back: RabbitMQ counts it as `basic_reject`, up to 4.2."""
        await self.basic_reject(tag, requeue=requeue, wait=wait)

    async def basic_publish(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        properties: spec.Basic.Properties,
        mandatory: bool,
        wait: bool = True,
    ) -> None:
        """Publish and wait for the confirm."""
        del mandatory, wait
        message = Stored(
            body,
            exchange,
            routing_key,
            dict(properties.headers or {}),
            properties.content_type,
            properties.message_id,
        )
        answer = await self._ask(lambda: self._take_in(message))
        match answer:
            case Answer.TAKEN:
                return
            case Answer.REFUSED:
                raise DeliveryError(None, spec.Basic.Nack())
            case Answer.RETURNED:
                frame = spec.Basic.Return(312, "NO_ROUTE", exchange, routing_key)
                raise PublishError(SimpleNamespace(delivery=frame), frame)  # type: ignore[arg-type]  # as much as it reads
            case Answer.NO_EXCHANGE:
                raise ChannelNotFoundEntity(f"no exchange {exchange!r}")

    async def close(self) -> None:
        """Give it back."""
        if not self.is_closed:
            self._connection.to_server.send(self.gone)
            self.lose(ChannelInvalidStateError("closed"))

    def lose(self, error: Exception) -> None:
        """It is of no use any more; whoever waits for an answer is told in one of aiormq's ways."""
        if self.is_closed:
            return
        self.is_closed = True
        self.closing.set_exception(error)
        for future in list(self._waiting):
            if not future.done():
                if self._network.trouble.random.random() < 0.5:
                    future.cancel()
                else:
                    future.set_exception(error)
        self._waiting.clear()

    def _usable(self) -> None:
        if self.is_closed:
            raise ChannelInvalidStateError("the channel is closed")

    async def _ask(self, effect: Callable[[], Result]) -> Result:
        """Have something done by the broker and wait for its answer."""
        self._usable()
        future: asyncio.Future[Result] = self._network.loop.create_future()
        self._waiting[future] = None
        self._connection.to_server.send(lambda: self._answer(future, effect()))
        try:
            return await future
        finally:
            self._waiting.pop(future, None)

    # The broker's side.

    def take(self, consumer: ServerConsumer, message: Stored) -> None:
        """Hold a message and hand it over."""
        self._tag += 1
        queue, _ = self._consumers[consumer.tag]
        self._unsettled[self._tag] = (queue, consumer, message)
        delivered = _delivered(consumer.tag, self._tag, message)
        self._connection.to_client.send(lambda: self._receive(consumer.receive, delivered))

    def cancel_consumers(self) -> None:
        """The broker takes its queues away from this channel, as it does where a leader changes."""
        for tag in list(self._consumers):
            self._cancel(tag)
            self._connection.to_client.send(self._told_of_cancel)

    def gone(self) -> None:
        """Whatever it held comes again."""
        if self._gone:
            return
        self._gone = True
        for tag in list(self._consumers):
            self._cancel(tag)
        held, self._unsettled = self._unsettled, {}
        for queue, _, message in reversed(held.values()):
            self._broker.come_back(queue, message)

    def _answer(self, future: "asyncio.Future[Result]", result: Result) -> None:
        self._connection.to_client.send(
            lambda: None if future.done() else future.set_result(result)
        )

    def _receive(self, receive: Receive, delivered: DeliveredMessage) -> None:
        if not self.is_closed:
            asyncio.get_running_loop().create_task(receive(delivered))  # type: ignore[arg-type]  # a coroutine

    def _told_of_cancel(self) -> None:
        for callback in list(self.on_consumer_cancel_callbacks):
            callback(None)

    def _take_in(self, message: Stored) -> Answer:
        if self._network.trouble.strikes("queue full", message.key):
            return Answer.REFUSED
        return self._broker.publish(message)

    def _consume(self, name: str, receive: Receive) -> str:
        self._begun += 1
        tag = f"{name} {self._begun}"
        if not self._gone:
            queue = self._broker.queues[name]
            consumer = ServerConsumer(tag, self, self._prefetch, receive=receive)
            self._consumers[tag] = (queue, consumer)
            self._network.loop.call_soon(self._begin, queue, consumer)  # after the answer
        return tag

    def _begin(self, queue: MemoryQueue, consumer: ServerConsumer) -> None:
        if consumer.tag in self._consumers:
            self._broker.consume(queue, consumer)

    def _cancel(self, tag: str) -> None:
        queue, consumer = self._consumers.pop(tag, (None, None))
        if queue is not None and consumer in queue.consumers:
            queue.consumers.remove(consumer)

    def _settle(self, tag: int, *, multiple: bool) -> None:
        if self._gone:
            return
        tags = [one for one in self._unsettled if one <= tag] if multiple else [tag]
        if tag not in self._unsettled:
            self._misused(tag)
            return
        for one in tags:
            queue, consumer, _ = self._unsettled.pop(one)
            consumer.held -= 1
            self._broker.settled(queue)

    def _give_back(self, tag: int) -> None:
        if self._gone:
            return
        if tag not in self._unsettled:
            self._misused(tag)
            return
        queue, consumer, message = self._unsettled.pop(tag)
        consumer.held -= 1
        self._broker.come_back(queue, message)

    def _misused(self, tag: int) -> None:
        """406 PRECONDITION_FAILED - unknown delivery tag."""
        self._network.misuses.append(f"{self._connection.name}: unknown delivery tag {tag}")
        self.gone()
        error = ChannelInvalidStateError(f"unknown delivery tag {tag}")
        self._connection.to_client.send(lambda: self.lose(error))


def _delivered(consumer: str, tag: int, message: Stored) -> DeliveredMessage:
    headers = dict(message.headers)
    if message.returns:
        headers["x-delivery-count"] = message.returns
    properties = spec.Basic.Properties(
        content_type=message.content_type,
        delivery_mode=2,
        message_id=message.message_id,
        headers=headers,
    )
    frame = spec.Basic.Deliver(consumer, tag, message.returns > 0, message.exchange, message.key)
    return DeliveredMessage(
        delivery=frame,
        header=cast(Any, SimpleNamespace(properties=properties)),
        body=message.body,
        channel=cast(Any, None),
    )
