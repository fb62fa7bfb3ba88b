"""One channel's share of a worker: who is sent next, how many at once, and what waits for a turn."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Final

import structlog

from tidings.broker.consumer import Consumer, Delivery, Subscription
from tidings.broker.topology import PRIORITIES, lane_queue
from tidings.delivery.attempt import Lane
from tidings.delivery.outcome import Failure, Outcome, Paused, RetryLater, Sent, Undeliverable
from tidings.settings import ChannelSettings
from tidings.worker.flow import Flow
from tidings.worker.lanes import Lanes
from tidings.worker.pace import Gate, RateLimit
from tidings.worker.patience import Abandoned

log = structlog.get_logger(__name__)

LONGEST_HOLD: Final = 600.0
"""Seconds a message may wait unacknowledged for its turn; RabbitMQ closes the channel after 1,800."""
SWEEP: Final = 30.0
"""Seconds between two looks for messages held too long."""


class ChannelWorker:
    """Takes deliveries of one channel and keeps its sends going.

    Args:
        flow: What happens to each message.
        settings: Concurrency, prefetch, rate and shares.
        timeout: Seconds to wait for the broker's answers.
        clock: Seconds, by which pauses and rates are measured.
    """

    def __init__(
        self,
        flow: Flow,
        settings: ChannelSettings,
        timeout: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._flow = flow
        self._free = settings.concurrency
        self._lanes = Lanes(settings.low_share, clock)
        self._rate = RateLimit(settings.rate, clock)
        self._gate = Gate(settings.pause, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._priorities = {lane_queue(Lane(flow.channel.name, one)): one for one in PRIORITIES}
        prefetch = max(settings.prefetch, settings.concurrency)
        self.consumer = Consumer(
            [Subscription(queue, prefetch) for queue in self._priorities],
            self.receive,
            timeout,
            clock,
        )

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
                self._spawn(self._park(delivery))

    async def finish(self, grace: float) -> int:
        """Begin nothing more and let what is under way finish; how many did not within `grace` seconds."""
        self._stopping = True
        self.consumer.stop_taking()
        if self._gate.shut:  # going back to the lane would count against its delivery limit
            for delivery in list(self._lanes.take_older_than(0)):
                self._spawn(self._park(delivery))
        self._lanes.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        unfinished = [task for task in self._tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    def _pump(self) -> None:
        """Begin as many messages as may be begun now, the most urgent first."""
        while self._free and self._lanes and not self._stopping:
            if (wait := self._rate.wait() or self._gate.wait()) > 0:
                self._pump_again_in(wait)
                return
            delivery = self._lanes.take()
            if delivery is None:
                self._gate.withdrew()
                return
            self._free -= 1
            self._spawn(self._work(delivery))

    def _pump_again_in(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait != float("inf"):
            self._timer = asyncio.get_running_loop().call_later(wait, self._pump)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, delivery: Delivery) -> None:
        """See one message through, giving its place to the next as soon as its send is over."""
        slot = Slot(self._released)
        self._flow.metrics.in_flight.inc()
        try:
            self._learn(delivery, await self._flow.handle(delivery, slot.release))
        except Abandoned:
            log.info("message went back to the broker", queue=delivery.queue)
            self._gate.withdrew()
        except Exception:
            log.exception("unexpected error: message given back", queue=delivery.queue)
            self._gate.withdrew()
            slot.release()
            await asyncio.sleep(_before_the_next_try(delivery))
            delivery.give_back()
        finally:
            self._flow.metrics.in_flight.dec()
            slot.release()
            self._pump()

    def _released(self) -> None:
        self._free += 1
        self._pump()

    def _learn(self, delivery: Delivery, outcome: Outcome | Paused | None) -> None:
        """Open or shut the gate by what came of a message."""
        match outcome:
            case None:
                self._gate.withdrew()
            case Paused(failure=failure):
                self._lanes.put(self._priorities[delivery.queue], delivery)
                self._pause(failure)  # at the end of its lane, so that another one probes next
            case Sent() | RetryLater() | Undeliverable():
                if self._gate.passed():
                    log.warning("channel resumed", channel=self._flow.channel.name)
                    self._flow.metrics.paused.set(0)

    def _pause(self, failure: Failure) -> None:
        rest = self._gate.failed()
        self._flow.metrics.paused.set(1)
        log.error(
            "channel paused: it is misconfigured",
            channel=self._flow.channel.name,
            error=failure.message,
            code=failure.code,
            again_in=rest,
        )

    async def _park(self, delivery: Delivery) -> None:
        try:
            await self._flow.settler.park(delivery, self._flow.tiers[0])
        except Abandoned:
            log.info("message went back to the broker", queue=delivery.queue)
        except Exception:
            log.exception("unexpected error: message given back", queue=delivery.queue)
            delivery.give_back()


def _before_the_next_try(delivery: Delivery) -> float:
    """Seconds to wait: a database that fails in an unknown way may be well again soon."""
    times = delivery.message.headers.get("x-delivery-count")
    return min(30.0, 0.1 * 2.0 ** min(times if isinstance(times, int) else 0, 20))


class Slot:
    """A place among the sends under way, given back once."""

    __slots__ = ("_give_back", "_held")

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._held = True

    def release(self) -> None:
        """Give it back; again does nothing."""
        if self._held:
            self._held = False
            self._give_back()
