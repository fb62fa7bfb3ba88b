"""One channel's share of a worker: who is sent next, how many at once, and what waits for a turn."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from time import monotonic
from typing import Final

import structlog

from tidings.broker.consumer import Consumer, Subscription
from tidings.broker.holdings import Holdings
from tidings.broker.topology.layout import PRIORITIES, lane_queue
from tidings.delivery.attempt import Lane
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import Postponed
from tidings.delivery.outcome import Paused
from tidings.delivery.ports import Delivery
from tidings.delivery.retry_policy import Guarantee
from tidings.runtime.background import end, told_to_end
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
"""Seconds a message may wait unacknowledged for its turn; RabbitMQ closes the channel after 1,800."""
SWEEP: Final = 30.0
"""Seconds between two looks for messages held too long."""
AT_REST: Final = frozenset({Phase.OPEN, Phase.PROBING, Phase.DISABLED})
"""Nobody but a probe is sent."""


class ChannelWorker:
    """Takes deliveries of one channel and keeps its sends going.

    Args:
        flow: What happens to each message.
        settings: Concurrency, prefetch, rate and shares.
        timeout: Seconds to wait for the broker's answers.
        clock: Seconds, by which pauses and rates are measured.
        holdings: What this process holds, of this channel and others.
    """

    def __init__(
        self,
        flow: Flow,
        settings: ChannelSettings,
        timeout: float,
        clock: Callable[[], float] = monotonic,
        holdings: Holdings | None = None,
    ) -> None:
        self._flow = flow
        self._loop = asyncio.get_running_loop()  # asking each time costs a system call
        self._providers = flow.providers
        self._providers.on_change(self._changed)
        self._slots = SendSlots(settings.concurrency, self._pump, clock)
        self._lanes = Lanes(settings.low_share, clock)
        self._rate = RateLimit(settings.rate, clock)
        self._paused = False
        self._beside = 0
        self._tried: dict[int, int] = {}
        """How often a provider was tried in vain with a message, by the hash of its body."""
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._priorities = {lane_queue(Lane(flow.providers.name, priority)): priority for priority in PRIORITIES}
        # What waits for its place when a worker dies may have been sent, for all that the next one can
        # know; and a rate would be spent when it is claimed.
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
            holdings,
        )
        flow.metrics.in_flight.set_function(lambda: self._slots.taken)
        for provider in self._providers.all:
            flow.metrics.circuit(provider.name, provider.circuit.phase)

    @property
    def providers(self) -> Providers:
        """Who delivers for this channel."""
        return self._providers

    @property
    def paused(self) -> bool:
        """Whether it takes nothing, by an operator's order."""
        return self._paused

    def pause(self) -> None:
        """Begin nothing more until `resume`; what is under way ends."""
        self._paused = self._slots.closed = True
        self._regulate()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._slots.closed = self._stopping
        self._regulate()
        self._pump()

    def receive(self, delivery: Delivery) -> None:
        """Take what the broker hands over."""
        if not self._stopping:
            self._lanes.put(self._priorities[delivery.queue], delivery)
            self._pump()

    async def sweep_for_ever(self) -> None:
        """Park what has waited too long, before the broker loses patience with its consumer."""
        while True:
            await asyncio.sleep(SWEEP)
            for delivery in list(self._lanes.take_older_than(LONGEST_HOLD)):
                self._spawn(self._park(delivery), delivery)

    async def finish(self, grace: float) -> int:
        """Begin nothing more and let what is under way finish; how many did not within `grace` seconds."""
        self._stopping = self._slots.closed = True
        self.consumer.stop_taking()
        if self._resting:  # going back to the lane would count against its delivery limit
            for delivery in list(self._lanes.take_older_than(0)):
                self._spawn(self._park(delivery), delivery)
        self._lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
        until = self._loop.time() + grace
        while self._tasks and (left := until - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)  # what ends may leave something to defer
        unfinished = [task for task in self._tasks if not task.done()]
        await asyncio.gather(*map(end, unfinished))
        return len(unfinished)

    def _pump(self) -> None:
        """Begin as many messages as may be begun now, the most urgent first."""
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
        if aside > self._beside or aside * 4 < self._beside:  # seldom: each time consumers begin
            self._beside = 2 * aside
            self.consumer.beside(self._beside)

    def _next(self) -> Delivery | None:
        """The most urgent; to try a provider with, one that did not fail to the last time."""
        if self._tried and self._resting:
            return self._lanes.take_least_tried(self._tried)
        return self._lanes.take()

    def _wait(self) -> float:
        """Seconds until the next one may begin; `inf` where something has to end first."""
        if not self._providers.all_closed:
            begun, slots = self._unasked, self._providers.slots
            if begun >= slots:
                return inf if slots else self._providers.wait()
        return self._rate.wait()

    @property
    def _unasked(self) -> int:
        """Messages begun whose provider has not been asked."""
        return self._slots.begun + self._slots.aside - self._providers.under_way

    @property
    def _resting(self) -> bool:
        """Whether messages are better left in their lanes."""
        if self._paused or self._providers.all_closed:
            return self._paused
        return all(provider.circuit.phase in AT_REST for provider in self._providers.all)

    def _regulate(self) -> None:
        """Take from the lanes what can be begun: everything, nothing, or one to try a provider with."""
        self._flow.metrics.paused.set(self._resting)
        if not self._resting:
            self.consumer.take(None)
            return
        for delivery in list(self._lanes.take_large()):  # other channels may need the room
            self._spawn(self._park(delivery), delivery)
        wait = inf if self._paused else self._providers.wait()
        idle = not self._lanes.waiting and not self._unasked
        self.consumer.take(1 if idle and wait == 0 else 0)
        if idle:
            self._pump_again_in(wait)

    def _changed(self, provider: Provider, before: Phase) -> None:
        """A circuit opened, closed, or something in between."""
        self._flow.metrics.circuit(provider.name, provider.circuit.phase)
        log_change(self._providers.name, provider, before)
        self._regulate()
        if not self._resting:  # by an operator's order: nothing ends that would let the next begin
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
        """However a task ends, its message does not wait for ever."""
        delivery = self._tasks.pop(task)
        if (task.cancelled() or task.exception() is not None) and not self._stopping:
            delivery.requeue()
            log.error(
                "unexpected end: message requeued",
                queue=delivery.queue,
                exc_info=None if task.cancelled() else task.exception(),
            )

    async def _work(self, delivery: Delivery, slot: SendSlot) -> None:
        """See one message through, giving its place to the next as soon as its send is over."""
        try:
            outcome = await SlottedFlow(self._flow, slot).handle(delivery)
            if outcome is None:
                self._give_turn_back()
            elif isinstance(outcome, Paused):
                if outcome is NOT_NOW or outcome.failure.kind == Postponed.kind:
                    self._give_turn_back()
                if outcome is not NOT_NOW:
                    self._remember(delivery)
                # So that another one tries the provider next.
                self._spawn(self._park(delivery, outcome), delivery)
        except DeliveryLost:
            log.info("message went back to the broker", queue=delivery.queue)
        except (Exception, asyncio.CancelledError) as error:
            if told_to_end():
                raise
            log.exception("unexpected error: message requeued", queue=delivery.queue)
            slot.release()
            await asyncio.sleep(_before_the_next_try(delivery))
            if shortage(error) is None:
                delivery.requeue()
            else:  # no fault of the message: a requeue would count against its delivery limit
                self._spawn(self._park(delivery), delivery)
        finally:
            slot.release()

    def _give_turn_back(self) -> None:
        """Nobody was asked: whoever waits for the rate need not wait for this one."""
        if self._rate.limited:
            self._rate.give_back()
            self._pump()

    def _remember(self, delivery: Delivery) -> None:
        """A provider was tried with it in vain."""
        key = hash(delivery.message.body)
        self._tried[key] = self._tried.pop(key, 0) + 1
        if len(self._tried) > REMEMBERED:
            del self._tried[next(iter(self._tried))]

    async def _park(self, delivery: Delivery, paused: Paused = NOT_NOW) -> None:
        try:
            await self._flow.defer(delivery, paused)
        except DeliveryLost:
            log.info("message went back to the broker", queue=delivery.queue)
        except (Exception, asyncio.CancelledError):
            if told_to_end():
                raise
            log.exception("unexpected error: message requeued", queue=delivery.queue)
            delivery.requeue()


def _before_the_next_try(delivery: Delivery) -> float:
    """Seconds to wait: a database that fails in an unknown way may be well again soon."""
    times = delivery.message.headers.get("x-delivery-count")
    return min(30.0, 0.1 * 2.0 ** min(times if isinstance(times, int) else 0, 20))
