"""One channel of a worker: which message is sent next, and how many at once."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from typing import Final

import structlog

from tidings.broker.consumer import Consumer, Subscription
from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.topology.layout import PRIORITIES, lane_queue
from tidings.delivery.attempt import Lane
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import Postponed
from tidings.delivery.outcome import Released
from tidings.delivery.ports import Delivery
from tidings.delivery.retry_policy import Guarantee
from tidings.runtime.background import cancel_requested, end
from tidings.runtime.shortage import shortage
from tidings.settings import ChannelSettings
from tidings.worker.flow import NOT_NOW, Flow
from tidings.worker.lanes import Lanes
from tidings.worker.outages import DeliveryLost
from tidings.worker.providers import REMEMBERED, Provider, Providers, log_change
from tidings.worker.rate_limit import RateLimit
from tidings.worker.send_slots import SendSlot, SendSlots
from tidings.worker.slotted_flow import SlottedFlow

log = structlog.get_logger(__name__)

LONGEST_HOLD: Final = 600.0
"""Seconds a message may wait unacknowledged; RabbitMQ closes the AMQP channel after 1,800."""
SWEEP: Final = 30.0
"""Seconds between searches for messages held too long."""
SUSPENDING: Final = frozenset({Phase.OPEN, Phase.PROBING, Phase.DISABLED})
"""Phases in which only probes are sent."""


class ChannelWorker:
    """Receives the deliveries of one channel and runs its sends.

    Args:
        flow: The steps of each message.
        settings: Concurrency, prefetch, rate and shares.
        timeout: Seconds to wait for replies of RabbitMQ.
        clock: Seconds, by which pauses and rates are measured.
        memory_budget: The unacknowledged messages of this process, of all channels.
    """

    def __init__(
        self,
        flow: Flow,
        settings: ChannelSettings,
        timeout: float,
        clock: Callable[[], float] = monotonic,
        memory_budget: MemoryBudget | None = None,
    ) -> None:
        self._flow = flow
        self._loop = asyncio.get_running_loop()  # each call of get_running_loop costs a system call
        self._providers = flow.providers
        self._providers.on_change(self._changed)
        self._slots = SendSlots(settings.concurrency, self._pump, clock)
        self._lanes = Lanes(settings.low_share, clock)
        self._rate = RateLimit(settings.rate, clock)
        self._paused = False
        self._detached_prefetch = 0
        self._failed_sends: dict[int, int] = {}
        """How often a message was sent in vain while all providers were down, by the hash of its body."""
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._priorities = {
            lane_queue(Lane(flow.providers.name, priority)): priority for priority in PRIORITIES
        }
        # A message that is claimed and waits for its slot when the worker dies may have been sent, as far as the
        # next worker can know; and a rate would be spent when it is claimed.
        self._ahead = settings.guarantee is Guarantee.AT_LEAST_ONCE and settings.rate is None
        prefetch = max(settings.prefetch, settings.concurrency) + settings.aside
        # Half of what is not being sent: the other half is claimed ahead, or being recorded.
        spare = (prefetch - settings.concurrency) // 2
        self.consumer = Consumer(
            [
                Subscription(queue, prefetch, spare, rank)
                for rank, queue in enumerate(self._priorities)
            ],
            self.receive,
            timeout,
            clock,
            memory_budget,
        )
        flow.metrics.in_flight.set_function(lambda: self._slots.taken)
        for provider in self._providers.all:
            flow.metrics.circuit(provider.name, provider.circuit.phase)

    @property
    def providers(self) -> Providers:
        """The providers of this channel."""
        return self._providers

    @property
    def paused(self) -> bool:
        """Whether an operator has paused the channel."""
        return self._paused

    def pause(self) -> None:
        """Begin no more messages until `resume`; those under way finish."""
        self._paused = self._slots.closed = True
        self._regulate()

    def resume(self) -> None:
        """Begin messages again."""
        self._paused = False
        self._slots.closed = self._stopping
        self._regulate()
        self._pump()

    def receive(self, delivery: Delivery) -> None:
        """Accept a message from RabbitMQ."""
        if not self._stopping:
            self._lanes.put(self._priorities[delivery.queue], delivery)
            self._pump()

    async def sweep_for_ever(self) -> None:
        """Postpone messages held too long, before RabbitMQ's consumer timeout."""
        while True:
            await asyncio.sleep(SWEEP)
            for delivery in list(self._lanes.take_older_than(LONGEST_HOLD)):
                self._spawn(self._postpone(delivery), delivery)

    async def finish(self, grace: float) -> int:
        """Begin no more messages and wait for those under way; returns how many did not finish in `grace` seconds."""
        self._stopping = self._slots.closed = True
        self.consumer.stop_taking()
        if self._suspended:  # a requeue would count against the lane's delivery limit
            for delivery in list(self._lanes.take_older_than(0)):
                self._spawn(self._postpone(delivery), delivery)
        self._lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
        until = self._loop.time() + grace
        while self._tasks and (left := until - self._loop.time()) > 0:
            await asyncio.wait(
                self._tasks, timeout=left
            )  # a task that ends may leave a message to postpone
        unfinished = [task for task in self._tasks if not task.done()]
        await asyncio.gather(*map(end, unfinished))
        return len(unfinished)

    def _pump(self) -> None:
        """Begin as many messages as allowed, the most urgent first."""
        while (
            self._lanes.waiting
            and self._slots.room(ahead=self._ahead and self._providers.all_closed)
            and not (self._paused or self._stopping)
        ):
            if (wait := self._wait()) > 0:
                self._pump_again_in(wait)
                break
            delivery = self._next()
            if delivery is None:
                break
            self._spawn(self._work(delivery, self._slots.begin()), delivery)
        if not self._providers.all_closed:
            self._regulate()
        aside = self._slots.aside
        if (
            aside > self._detached_prefetch or aside * 4 < self._detached_prefetch
        ):  # rarely: each change restarts consumers
            self._detached_prefetch = 2 * aside
            self.consumer.beside(self._detached_prefetch)

    def _next(self) -> Delivery | None:
        """The most urgent message; as a probe, one that did not fail the last time."""
        if self._failed_sends and self._suspended:
            return self._lanes.take_least_tried(self._failed_sends)
        return self._lanes.take()

    def _wait(self) -> float:
        """Seconds until the next message may begin; `inf` if another has to end first."""
        if not self._providers.all_closed:
            begun, slots = self._uncalled, self._providers.slots
            if begun >= slots:
                return inf if slots else self._providers.wait()
        return self._rate.wait()

    @property
    def _uncalled(self) -> int:
        """Messages begun for which no provider has been called yet."""
        return self._slots.begun + self._slots.aside - self._providers.under_way

    @property
    def _suspended(self) -> bool:
        """Whether messages should stay in their lanes."""
        if self._paused or self._providers.all_closed:
            return self._paused
        return all(provider.circuit.phase in SUSPENDING for provider in self._providers.all)

    def _regulate(self) -> None:
        """Consume as many messages as can be begun: all, none, or one as a probe."""
        self._flow.metrics.suspended.set(self._suspended)
        if not self._suspended:
            self.consumer.take(None)
            return
        for delivery in list(self._lanes.take_large()):  # other channels may need the memory
            self._spawn(self._postpone(delivery), delivery)
        wait = inf if self._paused else self._providers.wait()
        idle = not self._lanes.waiting and not self._uncalled
        self.consumer.take(1 if idle and wait == 0 else 0)
        if idle:
            self._pump_again_in(wait)

    def _changed(self, provider: Provider, before: Phase) -> None:
        """A circuit changed its phase."""
        self._flow.metrics.circuit(provider.name, provider.circuit.phase)
        log_change(self._providers.name, provider, before)
        self._regulate()
        if not self._suspended:  # no message ends that would start the next
            self._pump()

    def _pump_again_in(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if 0 < wait < inf:
            self._timer = self._loop.call_later(wait, self._pump)

    def _spawn(self, work: Coroutine[None, None, None], delivery: Delivery) -> None:
        task = self._loop.create_task(work)
        self._tasks[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A message does not stay unacknowledged, however its task ends."""
        delivery = self._tasks.pop(task)
        if (task.cancelled() or task.exception() is not None) and not self._stopping:
            delivery.requeue()
            log.error(
                "task ended unexpectedly: message requeued",
                queue=delivery.queue,
                exc_info=None if task.cancelled() else task.exception(),
            )

    async def _work(self, delivery: Delivery, slot: SendSlot) -> None:
        """Process one message, and release its slot as soon as its send has ended."""
        try:
            outcome = await SlottedFlow(self._flow, slot).handle(delivery)
            if outcome is None:
                self._return_turn()
            elif isinstance(outcome, Released):
                if outcome is NOT_NOW or outcome.failure.kind == Postponed.kind:
                    self._return_turn()
                if outcome is not NOT_NOW:
                    self._count_failed_send(delivery)
                # So that another message is the next probe.
                self._spawn(self._postpone(delivery, outcome), delivery)
        except DeliveryLost:
            log.info("message returned to RabbitMQ", queue=delivery.queue)
        except (Exception, asyncio.CancelledError) as error:
            if cancel_requested():
                raise
            log.exception("unexpected error: message requeued", queue=delivery.queue)
            slot.release()
            await asyncio.sleep(_requeue_delay(delivery))
            if shortage(error) is None:
                delivery.requeue()
            else:  # not the message's fault: a requeue would count against its delivery limit
                self._spawn(self._postpone(delivery), delivery)
        finally:
            slot.release()

    def _return_turn(self) -> None:
        """No provider was called: return the turn to the rate limit."""
        if self._rate.limited:
            self._rate.return_turn()
            self._pump()

    def _count_failed_send(self, delivery: Delivery) -> None:
        """Count a send in vain."""
        key = hash(delivery.message.body)
        self._failed_sends[key] = self._failed_sends.pop(key, 0) + 1
        if len(self._failed_sends) > REMEMBERED:
            del self._failed_sends[next(iter(self._failed_sends))]

    async def _postpone(self, delivery: Delivery, released: Released = NOT_NOW) -> None:
        try:
            await self._flow.postpone(delivery, released)
        except DeliveryLost:
            log.info("message returned to RabbitMQ", queue=delivery.queue)
        except (Exception, asyncio.CancelledError):
            if cancel_requested():
                raise
            log.exception("unexpected error: message requeued", queue=delivery.queue)
            delivery.requeue()


def _requeue_delay(delivery: Delivery) -> float:
    """Seconds to wait before a requeue: a database that fails in an unknown way may recover soon."""
    times = delivery.message.headers.get("x-delivery-count")
    return min(30.0, 0.1 * 2.0 ** min(times if isinstance(times, int) else 0, 20))
