"""As much of aiormq's channels as Tidings uses, on a broker in memory: the client's end and the broker's.

Deliveries, publishes and the broker's answers to them are AMQP frames, as on a real connection: written by
pamqp here, and read by `Frames` and `ConfirmingChannel` at the client's end.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

import pamqp.frame
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError, ChannelNotFoundEntity
from pamqp import commands as spec
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader
from tests.doubles.memory_broker import Answer, MemoryQueue, ServerConsumer, Stored
from tests.doubles.memory_network import MemoryConnection

Result = TypeVar("Result")

MAX_CONTENT = 131_064
"""Bytes of a body in one frame: RabbitMQ's `frame_max` of 128 KiB."""


class MemoryChannel:
    """A channel: its client's side above, the broker's below."""

    def __init__(self, connection: MemoryConnection) -> None:
        self.is_closed = False
        self.closing: asyncio.Future[Any] = connection.network.loop.create_future()
        self.closing.add_done_callback(asyncio.Future.exception)  # may stay unread
        self.on_consumer_cancel_callbacks: set[Callable[[Any], None]] = set()
        self._connection = connection
        self._network = connection.network
        self._broker = connection.network.broker
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self.number = len(connection.channels) + 1
        self.max_content_size = MAX_CONTENT
        self.write_queue = SimpleNamespace(put=self.write)
        """The way of `ConfirmingChannel` past aiormq."""
        self._publish = _Publish()
        self._published = 0
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
        self, queue: str, receive: object, *, timeout: float
    ) -> SimpleNamespace:
        """Begin to receive: frames, whatever aiormq would call."""
        del receive
        async with asyncio.timeout(timeout):
            tag = await self._ask(lambda: self._consume(queue))
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
        """Give a message back, with which nothing is wrong."""
        del wait, requeue
        self._usable()
        self._connection.to_server.send(lambda: self._give_back(tag, nacked=True))

    async def write(self, frame: ChannelFrame) -> None:
        """Send what is published; as on a socket, a loss is not noticed at once."""
        self._connection.to_server.send(lambda: self._read(frame.payload))
        if frame.drain_future is not None and not frame.drain_future.done():
            frame.drain_future.set_result(None)

    async def close(self) -> None:
        """Give it back."""
        if not self.is_closed:
            self._connection.to_server.send(self.gone)
            self.lose(ChannelInvalidStateError("closed"))

    def lose(self, error: Exception) -> None:
        """It is closed; pending calls fail in one of aiormq's ways."""
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
        headers = dict(message.headers)
        if message.failures:
            headers["x-delivery-count"] = message.failures
        if message.returns and not self._broker.counts_nacks:
            headers["x-acquired-count"] = message.returns
        deliver = spec.Basic.Deliver(
            consumer.tag, self._tag, message.returns > 0, message.exchange, message.key
        )
        self._connection.send_to_client(self._content(deliver, message, headers))

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

    def _told_of_cancel(self) -> None:
        for callback in list(self.on_consumer_cancel_callbacks):
            callback(None)

    def _read(self, data: bytes) -> None:
        """Publishes have arrived."""
        while data and not self._gone:
            consumed, _, frame = pamqp.frame.unmarshal(data)
            data = data[consumed:]
            if (message := self._publish.add(frame)) is not None:
                self._published += 1
                self._answer_for(message, self._take_in(message))

    def _take_in(self, message: Stored) -> Answer:
        if self._network.trouble.strikes("queue full", message.key):
            return Answer.REFUSED
        return self._broker.publish(message)

    def _answer_for(self, message: Stored, answer: Answer) -> None:
        """Say what became of a publish."""
        match answer:
            case Answer.TAKEN:
                self.answer(spec.Basic.Ack(self._published))
            case Answer.REFUSED:
                self.answer(spec.Basic.Nack(self._published))
            case Answer.RETURNED:
                back = spec.Basic.Return(312, "NO_ROUTE", message.exchange, message.key)
                self.answer(
                    spec.Basic.Ack(self._published), self._content(back, message, message.headers)
                )
            case Answer.NO_EXCHANGE:
                self.gone()
                error = ChannelNotFoundEntity(f"no exchange {message.exchange!r}")
                self._connection.to_client.send(lambda: self.lose(error))

    def answer(self, frame: Frame, before: bytes = b"") -> None:
        """Tell the client."""
        self._connection.send_to_client(before + pamqp.frame.marshal(frame, self.number))

    def _content(self, method: Frame, message: Stored, headers: Mapping[str, Any]) -> bytes:
        """A message, and what is done with it, in frames."""
        properties = spec.Basic.Properties(
            content_type=message.content_type,
            delivery_mode=2,
            message_id=message.message_id,
            headers=dict(headers),
        )
        frames: list[FrameTypes] = [
            method,
            ContentHeader(properties=properties, body_size=len(message.body)),
        ]
        for at in range(0, len(message.body), MAX_CONTENT):
            frames.append(ContentBody(message.body[at : at + MAX_CONTENT]))
        return b"".join(pamqp.frame.marshal(frame, self.number) for frame in frames)

    def _consume(self, name: str) -> str:
        self._begun += 1
        tag = f"{name} {self._begun}"
        if not self._gone:
            queue = self._broker.queues[name]
            consumer = ServerConsumer(tag, self, self._prefetch)
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
        tags = [number for number in self._unsettled if number <= tag] if multiple else [tag]
        if tag not in self._unsettled:
            self._misused(tag)
            return
        for settled in tags:
            queue, consumer, _ = self._unsettled.pop(settled)
            consumer.held -= 1
            self._broker.settled(queue)

    def _give_back(self, tag: int, *, nacked: bool = False) -> None:
        if self._gone:
            return
        if tag not in self._unsettled:
            self._misused(tag)
            return
        queue, consumer, message = self._unsettled.pop(tag)
        consumer.held -= 1
        self._broker.come_back(queue, message, nacked=nacked)

    def _misused(self, tag: int) -> None:
        """406 PRECONDITION_FAILED - unknown delivery tag."""
        self._network.misuses.append(f"{self._connection.name}: unknown delivery tag {tag}")
        self.gone()
        error = ChannelInvalidStateError(f"unknown delivery tag {tag}")
        self._connection.to_client.send(lambda: self.lose(error))


class _Publish:
    """Puts together the frames of one publish."""

    def __init__(self) -> None:
        self._method = spec.Basic.Publish()
        self._header = ContentHeader()
        self._body = b""

    def add(self, frame: FrameTypes) -> Stored | None:
        """One frame more; the message once it is complete."""
        match frame:
            case spec.Basic.Publish():
                self._method = frame
                return None
            case ContentHeader():
                self._header, self._body = frame, b""
            case ContentBody():
                self._body += frame.value
            case _:
                raise TypeError(f"a publish has no {frame.name}")
        if len(self._body) < self._header.body_size:
            return None
        properties = self._header.properties
        return Stored(
            self._body,
            self._method.exchange,
            self._method.routing_key,
            properties.headers or {},
            properties.content_type,
            properties.message_id,
        )
