"""Whose turn it is: the most urgent waiting message, and now and then one that others would starve."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic

from tidings.broker.consumer import Delivery
from tidings.broker.topology import PRIORITIES
from tidings.worker.pace import ROUNDING


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
    _waiting: int = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, priority: str, delivery: Delivery) -> None:
        """Wait at the end of a lane."""
        self._lanes[priority].append(delivery)
        self._waiting += 1

    def take(self) -> Delivery | None:
        """The next delivery whose ack would still reach the broker; None where there is none."""
        while (lane := self._next_lane()) is not None:
            delivery = lane.popleft()
            self._waiting -= 1
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
                self._waiting -= 1
                if delivery.alive:
                    yield delivery

    def clear(self) -> None:
        """Forget everything; unacknowledged, the broker delivers it again."""
        for lane in self._lanes.values():
            lane.clear()
        self._waiting = 0
