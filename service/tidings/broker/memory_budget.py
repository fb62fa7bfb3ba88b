"""A limit on the bytes of messages that a process holds, for all its queues.

RabbitMQ counts messages, not bytes: as many as the prefetch allows may come at once. A message without room is dropped
from memory, unacknowledged, and requeued once there is room. Half of the budget is divided among the queues, so that
each can always take small messages; the other half is common, for the most urgent of the waiting ones.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MOST: Final = 64 * 1024 * 1024
"""Bytes by default."""
COUNTED: Final = 16 * 1024
"""Bytes from which a message is counted; a whole prefetch of smaller ones is little."""
PROMISED: Final = 1.0
"""Seconds for which room is kept for a requeued message: another worker may have received it."""
OLDEST_EVERY: Final = 8
"""One in so many requeued messages is the one that waited longest: urgent ones never starve the others."""


class Reservation:
    """The room of one message, until it is released or garbage collected.

    Args:
        beyond: It is the one message held beyond the budget.
    """

    __slots__ = ("_beyond", "_budget", "_loop", "_queue", "_size")

    def __init__(self, budget: "MemoryBudget", queue: str, size: int, *, beyond: bool) -> None:
        self._budget: MemoryBudget | None = budget
        self._loop = asyncio.get_running_loop()
        self._queue = queue
        self._size = size
        self._beyond = beyond

    def release(self) -> None:
        """Free the room; a second call does nothing."""
        if self._budget is not None:
            budget, self._budget = self._budget, None
            budget.leave(self._queue, self._size, beyond=self._beyond)

    def __del__(self) -> None:
        """The message is gone with its channel or its task.

        The garbage collector may call this in any thread, at any moment.
        """
        if self._budget is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self.release)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A message that waits for room."""

    queue: str
    size: int
    anyway: bool
    number: int
    """Rises with every waiting message."""
    requeue: Callable[[], None]
    alive: Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    """Room that is kept for a requeued message."""

    queue: str
    size: int
    beyond: bool


@dataclass(slots=True, eq=False)
class _WaitQueue:
    """Waiting messages of one queue, in the order of their arrival."""

    rank: int
    waiting: deque[_Waiter] = field(default_factory=deque)
    insistent: deque[_Waiter] = field(default_factory=deque)
    """Messages that must be taken."""
    turn: int = 0
    """Number of its last requeued message, counted over all queues."""

    def first(self) -> _Waiter | None:
        """The next message whose channel is still open."""
        for some in (self.insistent, self.waiting):
            while some and not some[0].alive():
                some.popleft()
            if some:
                return some[0]
        return None

    def add(self, waiter: _Waiter) -> None:
        (self.insistent if waiter.anyway else self.waiting).append(waiter)

    def remove_first(self, waiter: _Waiter) -> None:
        (self.insistent if waiter.anyway else self.waiting).popleft()


class MemoryBudget:
    """The budget. For one event loop.

    Args:
        most: Bytes. A single larger message is held too, if no other one uses the common half.
    """

    def __init__(self, most: int = MOST) -> None:
        self._common = most // 2
        self._lines: dict[str, _WaitQueue] = {}
        self._held: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        """Bytes held and promised."""
        self._promised: list[_Promise] = []
        self._beyond = False
        """Whether a message is held or promised beyond the budget."""
        self._waited = self._requeued = self._turns = 0

    def open(self, queue: str, rank: int = 0) -> None:
        """Add a queue.

        Args:
            rank: Messages of a lower rank are requeued first; queues of the same rank take turns.
        """
        self._lines.setdefault(queue, _WaitQueue(rank))

    @property
    def plan(self) -> int:
        """Bytes that a queue may hold while the others are almost empty."""
        return self._common + self._share

    @property
    def held(self) -> int:
        """Bytes held, all queues together."""
        return self._held.total()

    def take(self, queue: str, size: int, *, anyway: bool = False) -> Reservation | None:
        """Room for a message that was delivered; None if there is none.

        Args:
            anyway: It was requeued too often: take it beyond the budget, unless another message is.
        """
        beyond = False
        if (promise := self._promise_to(queue, size)) is not None:
            beyond = promise.beyond
            self._promised.remove(promise)
        elif self._fits(queue, size):
            self._kept[queue] += size
        elif anyway and not self._beyond:
            beyond = self._beyond = True
            self._kept[queue] += size
        else:
            return None
        self._held[queue] += size
        return Reservation(self, queue, size, beyond=beyond)

    def wait(
        self,
        queue: str,
        size: int,
        requeue: Callable[[], None],
        alive: Callable[[], bool],
        *,
        anyway: bool = False,
    ) -> None:
        """Requeue a message once there is room for it, unless its channel is closed by then.

        Args:
            anyway: Before all others of its queue: see `take`.
        """
        if not self._first_of_each():
            log.info("message waits for memory", queue=queue, bytes=size)
        self._waited += 1
        self._lines[queue].add(_Waiter(queue, size, anyway, self._waited, requeue, alive))
        self._requeue_waiting()

    def leave(self, queue: str, size: int, *, beyond: bool) -> None:
        """Free the room of a `Reservation`."""
        self._held[queue] -= size
        self._free(queue, size, beyond=beyond)

    def _free(self, queue: str, size: int, *, beyond: bool) -> None:
        self._kept[queue] -= size
        self._beyond = self._beyond and not beyond
        self._requeue_waiting()

    @property
    def _share(self) -> int:
        """Bytes of each queue."""
        return self._common // max(1, len(self._lines))

    def _fits(self, queue: str, size: int) -> bool:
        """Whether there is room that no other message waits for."""
        if self._fits_its_share(queue, size):
            return True
        return self._fits_the_common(queue, size) and not self._first_of_each()

    def _fits_its_share(self, queue: str, size: int) -> bool:
        return self._kept[queue] + size <= self._share

    def _fits_the_common(self, queue: str, size: int) -> bool:
        share, kept = self._share, self._kept[queue]
        taken = sum(max(0, kept - share) for kept in self._kept.values())
        more = max(0, kept + size - share) - max(0, kept - share)
        return not taken or taken + more <= self._common

    def _requeue_waiting(self) -> None:
        """Requeue waiting messages, in turn, as far as there is room."""
        while (waiter := self._next()) is not None:
            line = self._lines[waiter.queue]
            line.remove_first(waiter)
            self._requeued += 1
            line.turn = self._requeued
            self._promise(waiter)
            waiter.requeue()

    def _next(self) -> _Waiter | None:
        """The message to requeue now.

        The common half is kept for the message whose turn it is, however long that takes. Others don't wait for it if
        they need none of it: they fit in their queue's share, or may be held beyond the budget.
        """
        if not (waiting := self._first_of_each()):
            return None
        first = self._whose_turn(waiting)
        if self._fits_the_common(first.queue, first.size):
            self._turns += 1
            return first
        return next((waiter for waiter in waiting if self._fits_elsewhere(waiter)), None)

    def _fits_elsewhere(self, waiter: _Waiter) -> bool:
        return self._fits_its_share(waiter.queue, waiter.size) or (
            waiter.anyway and not self._beyond
        )

    def _first_of_each(self) -> Sequence[_Waiter]:
        firsts = (line.first() for line in self._lines.values())
        return [waiter for waiter in firsts if waiter is not None]

    def _whose_turn(self, waiting: Sequence[_Waiter]) -> _Waiter:
        if self._turns % OLDEST_EVERY == OLDEST_EVERY - 1:
            return min(waiting, key=lambda waiter: waiter.number)
        return min(waiting, key=self._urgency)

    def _urgency(self, waiter: _Waiter) -> tuple[bool, int, int]:
        line = self._lines[waiter.queue]
        return (not waiter.anyway, line.rank, line.turn)

    def _promise(self, waiter: _Waiter) -> None:
        queue, size = waiter.queue, waiter.size
        room = self._fits_its_share(queue, size) or self._fits_the_common(queue, size)
        promise = _Promise(queue, size, beyond=not room)
        asyncio.get_running_loop().call_later(PROMISED, self._break_promise, promise)
        self._promised.append(promise)
        self._kept[queue] += size
        self._beyond = self._beyond or promise.beyond

    def _promise_to(self, queue: str, size: int) -> _Promise | None:
        """The room that was kept for this message, or for another of its queue and size."""
        wanted = (queue, size)
        return next((kept for kept in self._promised if (kept.queue, kept.size) == wanted), None)

    def _break_promise(self, promise: _Promise) -> None:
        """If the message has not come, give its room to the next one."""
        if promise in self._promised:
            self._promised.remove(promise)
            self._free(promise.queue, promise.size, beyond=promise.beyond)
