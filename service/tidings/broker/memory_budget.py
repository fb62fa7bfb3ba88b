"""How many bytes of messages a process holds: one account for all its queues.

The broker counts messages, not bytes: whatever a prefetch allows may come at once. A message for which there is no room
is forgotten, unacknowledged, and asked for again when there is. Half of the account is shared out among the queues, so
that small messages are always taken, whatever fills the other queues; the other half is for the most urgent who wait.
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
"""Bytes, unless somebody says otherwise."""
COUNTED: Final = 16 * 1024
"""Bytes from which a message is counted; what a prefetch holds of smaller ones is little."""
PROMISED: Final = 1.0
"""Seconds for which room is kept for a message that was asked for again: another worker may have got it."""
ELDEST_EVERY: Final = 8
"""Of so many that are asked for again, one is whoever has waited longest: the urgent never starve the others."""


class Reservation:
    """Room that one message takes, until it is released or nobody knows of it any more.

    Args:
        beyond: It is the one that is held though there is no room.
    """

    __slots__ = ("_beyond", "_budget", "_loop", "_queue", "_size")

    def __init__(self, budget: "MemoryBudget", queue: str, size: int, *, beyond: bool) -> None:
        self._budget: MemoryBudget | None = budget
        self._loop = asyncio.get_running_loop()
        self._queue = queue
        self._size = size
        self._beyond = beyond

    def release(self) -> None:
        """Its message is settled; again does nothing."""
        if self._budget is not None:
            budget, self._budget = self._budget, None
            budget.leave(self._queue, self._size, beyond=self._beyond)

    def __del__(self) -> None:
        """The message went with its channel, or with whoever handled it.

        The garbage collector may say so in any thread, and in the middle of anything.
        """
        if self._budget is not None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits for room
                self._loop.call_soon_threadsafe(self.release)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A message that was forgotten."""

    queue: str
    size: int
    anyway: bool
    number: int
    """Rises with every one that has to wait."""
    requeue: Callable[[], None]
    alive: Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Promise:
    """Room that is kept for a message that was asked for again."""

    queue: str
    size: int
    beyond: bool


@dataclass(slots=True, eq=False)
class _WaitQueue:
    """Those of one queue that wait, in the order in which they came."""

    rank: int
    waiting: deque[_Waiter] = field(default_factory=deque)
    insistent: deque[_Waiter] = field(default_factory=deque)
    """Those that must be taken."""
    asked: int = 0
    """Rises with every one that is asked for, of any queue."""

    def first(self) -> _Waiter | None:
        """Who is next, of those whose channel is still there."""
        for some in (self.insistent, self.waiting):
            while some and not some[0].alive():
                some.popleft()
            if some:
                return some[0]
        return None

    def add(self, one: _Waiter) -> None:
        (self.insistent if one.anyway else self.waiting).append(one)

    def remove_first(self, one: _Waiter) -> None:
        (self.insistent if one.anyway else self.waiting).popleft()


class MemoryBudget:
    """The account. To be used in one event loop.

    Args:
        most: Bytes. A single message that is larger is held too, where nobody else takes of the common half.
    """

    def __init__(self, most: int = MOST) -> None:
        self._common = most // 2
        self._lines: dict[str, _WaitQueue] = {}
        self._held: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        """What is held, and what is promised."""
        self._promised: list[_Promise] = []
        self._beyond = False
        """Whether a message is held, or promised to be, though there is no room."""
        self._waited = self._asked = self._turns = 0

    def open(self, queue: str, rank: int = 0) -> None:
        """This queue's messages will be held too.

        Args:
            rank: Those of a lower one are asked for first; queues of the same take turns.
        """
        self._lines.setdefault(queue, _WaitQueue(rank))

    @property
    def plan(self) -> int:
        """Bytes that a queue may hold while the others hold none to speak of."""
        return self._common + self._share

    @property
    def held(self) -> int:
        """Bytes that are held of all queues."""
        return self._held.total()

    def take(self, queue: str, size: int, *, anyway: bool = False) -> Reservation | None:
        """Room for a message that has come; None where there is none.

        Args:
            anyway: It was sent back too often: it is taken though there is no room, unless another is so already.
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
        """Have a message asked for again once there is room for it, unless its channel is gone by then.

        Args:
            anyway: Before all others of its queue, and soon: see `take`.
        """
        if not self._first_of_each():
            log.info("message waits for memory", queue=queue, bytes=size)
        self._waited += 1
        self._lines[queue].add(_Waiter(queue, size, anyway, self._waited, requeue, alive))
        self._go_on()

    def leave(self, queue: str, size: int, *, beyond: bool) -> None:
        """Called by `Reservation`."""
        self._held[queue] -= size
        self._give_up(queue, size, beyond=beyond)

    def _give_up(self, queue: str, size: int, *, beyond: bool) -> None:
        self._kept[queue] -= size
        self._beyond = self._beyond and not beyond
        self._go_on()

    @property
    def _share(self) -> int:
        """Bytes of each queue's own."""
        return self._common // max(1, len(self._lines))

    def _fits(self, queue: str, size: int) -> bool:
        """Whether there is room, and nobody has waited for it."""
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

    def _go_on(self) -> None:
        """Ask for those whose turn it is, as far as there is room."""
        while (one := self._next()) is not None:
            line = self._lines[one.queue]
            line.remove_first(one)
            self._asked += 1
            line.asked = self._asked
            self._promise(one)
            one.requeue()

    def _next(self) -> _Waiter | None:
        """Whom to ask for now.

        The common half is for the one whose turn it is, however long it takes until there is enough. Who needs none of
        it waits for nobody: there is room in its queue's share, or it is the one that is held without room.
        """
        if not (waiting := self._first_of_each()):
            return None
        first = self._whose_turn(waiting)
        if self._fits_the_common(first.queue, first.size):
            self._turns += 1
            return first
        return next((one for one in waiting if self._fits_elsewhere(one)), None)

    def _fits_elsewhere(self, one: _Waiter) -> bool:
        return self._fits_its_share(one.queue, one.size) or (one.anyway and not self._beyond)

    def _first_of_each(self) -> Sequence[_Waiter]:
        firsts = (line.first() for line in self._lines.values())
        return [one for one in firsts if one is not None]

    def _whose_turn(self, waiting: Sequence[_Waiter]) -> _Waiter:
        if self._turns % ELDEST_EVERY == ELDEST_EVERY - 1:
            return min(waiting, key=lambda one: one.number)
        return min(waiting, key=self._urgency)

    def _urgency(self, one: _Waiter) -> tuple[bool, int, int]:
        line = self._lines[one.queue]
        return (not one.anyway, line.rank, line.asked)

    def _promise(self, one: _Waiter) -> None:
        room = self._fits_its_share(one.queue, one.size) or self._fits_the_common(
            one.queue, one.size
        )
        promise = _Promise(one.queue, one.size, beyond=not room)
        asyncio.get_running_loop().call_later(PROMISED, self._break_promise, promise)
        self._promised.append(promise)
        self._kept[one.queue] += one.size
        self._beyond = self._beyond or promise.beyond

    def _promise_to(self, queue: str, size: int) -> _Promise | None:
        """The room that was kept for this message, or for another of its queue and size."""
        wanted = (queue, size)
        return next((one for one in self._promised if (one.queue, one.size) == wanted), None)

    def _break_promise(self, promise: _Promise) -> None:
        """Where the message has not come, whoever waits next is asked for."""
        if promise in self._promised:
            self._promised.remove(promise)
            self._give_up(promise.queue, promise.size, beyond=promise.beyond)
