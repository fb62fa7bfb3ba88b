"""Whose turn it is: the most urgent waiting message, and now and then one that others would starve."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

from tidings.broker.topology.layout import PRIORITIES
from tidings.delivery.ports import Delivery
from tidings.worker.rate_limit import ROUNDING


@dataclass(slots=True)
class Lanes:
    """What one channel's consumers handed over and nobody has begun, by priority.

    Args:
        low_share: Share of turns that goes past the most urgent lane to whoever has waited longest
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
    """How many they are."""

    def put(self, priority: str, delivery: Delivery) -> None:
        """Wait at the end of a lane."""
        self._lanes[priority].append(delivery)
        self.waiting += 1

    def take_least_tried(self, tried: Mapping[int, int]) -> Delivery | None:
        """The most urgent of those that were tried least often; None where there is none.

        Args:
            tried: How often, by the hash of the message's body.
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
        """The next delivery whose ack would still reach the broker; None where there is none."""
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
        """Remove and yield what was handed over more than `age` seconds ago and is still ours."""
        limit = self.clock() - age
        for lane in self._lanes.values():
            while lane and lane[0].received < limit:
                delivery = lane.popleft()
                self.waiting -= 1
                if delivery.alive:
                    yield delivery

    def take_large(self) -> Iterator[Delivery]:
        """Remove and yield what takes room in what the process holds."""
        for priority, lane in self._lanes.items():
            large = [delivery for delivery in lane if delivery.large]
            if large:
                self._lanes[priority] = deque(delivery for delivery in lane if not delivery.large)
                self.waiting -= len(large)
                yield from (delivery for delivery in large if delivery.alive)

    def clear(self) -> None:
        """Forget everything; unacknowledged, the broker delivers it again."""
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0
