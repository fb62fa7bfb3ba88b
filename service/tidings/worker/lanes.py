"""The prefetched messages of a channel by priority; a share of turns goes to lower priorities."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

from tidings.broker.topology.layout import PRIORITIES
from tidings.delivery.ports import Delivery
from tidings.worker.rate_limit import ROUNDING


@dataclass(slots=True)
class Lanes:
    """The messages that one channel's consumers received and that are not begun, by priority.

    Args:
        low_share: Share of turns that skips the most urgent lane for the message that has waited longest
            in the others, so that a stream of urgent messages never starves the rest.
        clock: Seconds, the clock of `Delivery.received`; only tests give another.
    """

    low_share: float
    clock: Callable[[], float] = monotonic
    _lanes: dict[str, deque[Delivery]] = field(
        default_factory=lambda: {priority: deque() for priority in PRIORITIES}
    )
    _credit: float = 0.0
    waiting: int = 0
    """Their number."""

    def put(self, priority: str, delivery: Delivery) -> None:
        """Add a message at the end of its lane."""
        self._lanes[priority].append(delivery)
        self.waiting += 1

    def take_least_tried(self, tried: Mapping[int, int]) -> Delivery | None:
        """Remove and return the most urgent of those sent least often; None if there is none.

        Args:
            tried: Number of sends, by the hash of the message's body.
        """
        waiting = (
            (tried.get(hash(delivery.message.body), 0), place, number)
            for place, lane in enumerate(self._lanes.values())
            for number, delivery in enumerate(lane)
            if delivery.alive
        )
        if (least := min(waiting, default=None)) is None:
            self.clear()
            return None
        _, place, number = least
        lane = list(self._lanes.values())[place]
        delivery = lane[number]
        del lane[number]
        self.waiting -= 1
        return delivery

    def take(self) -> Delivery | None:
        """Remove and return the next message that can still be acknowledged; None if there is none."""
        while (lane := self._next_lane()) is not None:
            delivery = lane.popleft()
            self.waiting -= 1
            if delivery.alive:
                return delivery
        return None

    def _next_lane(self) -> deque[Delivery] | None:
        waiting = [lane for lane in self._lanes.values() if lane]
        if not waiting:
            return None
        self._credit = min(1.0 + self.low_share, self._credit + self.low_share)
        if self._credit > 1.0 - ROUNDING and len(waiting) > 1:
            self._credit -= 1.0
            return min(waiting[1:], key=lambda lane: lane[0].received)
        return waiting[0]

    def take_older_than(self, age: float) -> Iterator[Delivery]:
        """Remove and yield messages received more than `age` seconds ago that can still be acknowledged."""
        limit = self.clock() - age
        for lane in self._lanes.values():
            while lane and lane[0].received < limit:
                delivery = lane.popleft()
                self.waiting -= 1
                if delivery.alive:
                    yield delivery

    def take_large(self) -> Iterator[Delivery]:
        """Remove and yield messages that count against the memory limit."""
        for priority, lane in self._lanes.items():
            large = [delivery for delivery in lane if delivery.large]
            if large:
                self._lanes[priority] = deque(delivery for delivery in lane if not delivery.large)
                self.waiting -= len(large)
                yield from (delivery for delivery in large if delivery.alive)

    def clear(self) -> None:
        """Drop all messages; RabbitMQ delivers them again, since they are not acknowledged."""
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0
