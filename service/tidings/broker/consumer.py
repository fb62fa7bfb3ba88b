"""Step two begins here: consumes queues and passes on each message with the means to settle it.

Every queue has a channel of its own, reopened when RabbitMQ closes it or cancels its consumer.
Deliveries of a lost channel know that they can't be acknowledged (`Delivery.alive`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity

from tidings.broker.adaptive_prefetch import AdaptivePrefetch
from tidings.broker.memory_budget import COUNTED, MemoryBudget, Reservation
from tidings.broker.topology.layout import DELIVERY_LIMIT
from tidings.broker.wire.amqp import (
    CONNECTION_ERRORS,
    FramedConnection,
    broker_errors,
    explain,
    lost_event,
    open_channel,
)
from tidings.broker.wire.frames import DeliverFrame, Frames, Take
from tidings.broker.wire.prefetch import Prefetch
from tidings.broker.wire.settlement import Settlement
from tidings.delivery.attempt import Message
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.runtime.background import cancel_requested
from tidings.runtime.backoff import Backoff

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class BrokerDelivery:
    """A message delivered by RabbitMQ, unacknowledged until `ack`."""

    message: Message
    queue: str
    exchange: str
    """Where it was first published; empty if RabbitMQ doesn't say."""
    redelivered: bool
    tag: int
    settlement: Settlement
    received: float = field(default_factory=monotonic)
    """When it was delivered, in seconds of the monotonic clock."""
    lane_empty: float | None = None
    """When its queue was last known to be empty, on the same clock; None if unknown."""
    held: Reservation | None = None
    """Its part of the memory budget; None for a small one."""
    settled: bool = False
    """Whether it was acknowledged or requeued; a second call changes nothing."""

    @property
    def large(self) -> bool:
        """Whether it counts in the memory budget."""
        return self.held is not None

    @property
    def alive(self) -> bool:
        """Whether it can still be settled; if not, RabbitMQ delivers it again."""
        return self.settlement.alive

    def ack(self) -> None:
        """Acknowledge it."""
        if not self.settled:
            self._settle()
            self.settlement.ack(self.tag)

    def requeue(self) -> None:
        """Requeue it after an unexpected error; at the lane's delivery limit it becomes a dead letter."""
        if not self.settled:
            self._settle()
            self.settlement.reject(self.tag)

    def _settle(self) -> None:
        self.settled = True
        if self.held is not None:
            self.held.release()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue to consume, and its prefetch.

    Args:
        spare: How many of them may be finished and unacknowledged without slowing down the work.
        rank: If memory is short, large messages of a lower rank go first.
    """

    queue: str
    prefetch: int
    spare: int = 0
    rank: int = 0


Redeclare = Callable[[float], Awaitable[None]]


async def _nothing(_: float) -> None:
    """No topology to declare."""


class Consumer:
    """Consumes queues on the connection it is given, until stopped.

    Args:
        subscriptions: The queues.
        receive: Called with each delivery; must return at once.
        timeout: Seconds to wait for RabbitMQ's replies.
        clock: That of `Delivery.received`.
        memory_budget: Shared by all consumers of the process.
    """

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        receive: Callable[[BrokerDelivery], None],
        timeout: float,
        clock: Callable[[], float] = monotonic,
        memory_budget: MemoryBudget | None = None,
    ) -> None:
        self._subscriptions = subscriptions
        self._receive = receive
        self._timeout = timeout
        self._clock = clock
        self._redeclare: Redeclare = _nothing
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._closing = asyncio.Event()
        self._budget = memory_budget or MemoryBudget()
        for subscription in subscriptions:
            self._budget.open(subscription.queue, subscription.rank)
        self._adaptive: dict[str, AdaptivePrefetch] = {}
        self._limit: int | None = None
        self._beside = 0
        self._limited = asyncio.Event()
        self._consuming: set[str] = set()

    @property
    def ready(self) -> bool:
        """Whether every queue is consumed, or limited to nothing on purpose."""
        return len(self._consuming) == len(self._subscriptions)

    async def start(self, connection: FramedConnection, redeclare: Redeclare) -> None:
        """Consume on a new connection, unless stopped; consumers of the last one end.

        Args:
            redeclare: Declares the topology again if a queue is missing; called with the time at which it was missed.
        """
        await self._end()
        self._redeclare = redeclare
        for subscription in self._subscriptions:
            task = asyncio.create_task(
                self._keep_up(connection, subscription), name=f"consume {subscription.queue}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def take(self, limit: int | None) -> None:
        """Limit the messages of each queue from now on; those received before stay ours.

        Args:
            limit: None for each subscription's prefetch, 0 for none.
        """
        if limit != self._limit:
            self._limit = limit
            self._limits_changed()

    def beside(self, count: int) -> None:
        """So many messages in hand need no work: prefetch as many more, up to each subscription's prefetch."""
        self._beside = count
        self._limits_changed()

    def _limits_changed(self) -> None:
        self._limited.set()
        self._limited = asyncio.Event()

    def stop_taking(self) -> None:
        """Consume no more; messages received before can still be settled."""
        self._stopping.set()

    async def close(self) -> None:
        """Send the last acks and close the channels."""
        self._stopping.set()
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timeout)
        await self._end()

    async def _end(self) -> None:
        while self._tasks:  # aiormq may replace a cancellation by an error of its own: cancel again
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1)

    async def _keep_up(self, connection: FramedConnection, subscription: Subscription) -> None:
        backoff = Backoff(longest=10)
        while not (connection.is_closed or self._stopping.is_set()):
            try:
                await self._consume_once(connection, subscription, backoff)
            except (Exception, asyncio.CancelledError):
                if cancel_requested():
                    raise
                log.exception("unexpected error: consumer restarted", queue=subscription.queue)
            if not self._stopping.is_set():
                await asyncio.sleep(backoff.next())

    async def _consume_once(
        self, connection: FramedConnection, subscription: Subscription, backoff: Backoff
    ) -> None:
        """Consume until the channel or the consumer is lost, or it is stopped."""
        try:
            with broker_errors():
                async with _channel(connection, self._timeout) as channel:
                    await self._consume(channel, connection.frames, subscription, backoff)
            if not self._stopping.is_set():
                log.warning("consumer lost", queue=subscription.queue)
        except BrokerUnavailable as error:
            log.warning("consuming failed", queue=subscription.queue, error=str(error))
            if isinstance(error.__cause__, ChannelNotFoundEntity):
                await self._declare_again(subscription.queue)

    async def _declare_again(self, queue: str) -> None:
        try:
            await self._redeclare(asyncio.get_running_loop().time())
        except TidingsError as error:
            log.warning("queue not declared", queue=queue, error=str(error))

    async def _consume(
        self,
        channel: AbstractChannel,
        frames: Frames,
        subscription: Subscription,
        backoff: Backoff,
    ) -> None:
        lost = lost_event(channel)
        async with Settlement(channel, self._clock) as settlement:
            settlement.on_end(lost.set)
            # A new one for each channel: after a crash for lack of memory it starts carefully.
            adaptive = AdaptivePrefetch(subscription.prefetch, self._budget.plan)
            self._adaptive[subscription.queue] = adaptive
            take = self._receiver(subscription.queue, settlement, adaptive)
            frames.take(channel.number, take)
            prefetch = Prefetch(
                channel,
                settlement,
                partial(self._begin, channel, subscription.queue),
                subscription.prefetch - subscription.spare,
                self._timeout,
                self._clock,
            )
            try:
                while not (lost.is_set() or self._stopping.is_set()):
                    await self._take(prefetch, subscription, settlement, lost)
                    backoff.reset()
                if not lost.is_set():
                    await prefetch.cancel()
                self._consuming.discard(subscription.queue)
                await _first(lost, self._closing)
            finally:
                self._consuming.discard(subscription.queue)

    def _receiver(self, queue: str, settlement: Settlement, adaptive: AdaptivePrefetch) -> Take:
        idle = settlement.idle

        def take(arrival: DeliverFrame, message: Message) -> None:
            now, size, held = self._clock(), len(message.body), None
            if adaptive.note(size):
                self._limits_changed()
            lane_empty = idle.taken(arrival.tag, now)
            if size >= COUNTED:
                often = _returned(message) >= DELIVERY_LIMIT // 2
                held = self._budget.take(queue, size, anyway=often)
                if held is None:
                    again = partial(settlement.requeue, arrival.tag)
                    self._budget.wait(queue, size, again, lambda: settlement.alive, anyway=often)
                    return
            delivery = BrokerDelivery(
                message,
                queue,
                arrival.exchange,
                arrival.redelivered,
                arrival.tag,
                settlement,
                now,
                lane_empty,
                held,
            )
            try:
                self._receive(delivery)
            except Exception:  # it would end the connection, which calls this
                log.exception("unexpected error: message requeued", queue=queue)
                delivery.requeue()

        return take

    async def _take(
        self,
        prefetch: Prefetch,
        subscription: Subscription,
        settlement: Settlement,
        lost: asyncio.Event,
    ) -> None:
        """Consume, or wait, until a limit changes."""
        limited, flushed = self._limited, settlement.flushed
        flushed.clear()
        affordable = self._adaptive[subscription.queue].most + self._beside
        most = min(subscription.prefetch, affordable)
        limit = most if self._limit is None else self._limit
        unfilled = await prefetch.ask(limit, most)
        self._consuming.add(subscription.queue)
        changes = [lost, self._stopping, limited]
        await _first(*changes, *([flushed] if unfilled else []))

    async def _begin(self, channel: AbstractChannel, queue: str, prefetch: int) -> str:
        await channel.basic_qos(prefetch_count=prefetch, timeout=self._timeout)
        begun = await channel.basic_consume(queue, _taken_before, timeout=self._timeout)
        log.debug("consuming", queue=queue, prefetch=prefetch)
        return str(begun.consumer_tag)


@asynccontextmanager
async def _channel(connection: FramedConnection, timeout: float) -> AsyncIterator[AbstractChannel]:
    """A channel that is closed at the end: unsettled deliveries come again."""
    channel = await open_channel(connection, timeout)
    try:
        yield channel
    finally:
        try:
            async with asyncio.timeout(timeout):
                await channel.close()
        except CONNECTION_ERRORS as error:
            log.debug("closing a broken channel", error=explain(error))
        connection.frames.leave(channel.number)  # not before: it may be in the middle of a message


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _returned(message: Message) -> int:
    """How often it was delivered without being settled. From RabbitMQ 4.3 on, `x-delivery-count` omits nacked deliveries."""
    headers = message.headers
    count = headers.get("x-acquired-count", headers.get("x-delivery-count"))
    return count if isinstance(count, int) else 0


async def _taken_before(_: DeliveredMessage) -> None:
    """For aiormq, which never calls it: `Frames` takes all messages."""
