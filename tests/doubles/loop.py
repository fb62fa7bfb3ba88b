"""An event loop whose time is virtual, whose order is drawn from a seed, and whose processes may vanish."""

import asyncio
import heapq
import sys
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from types import CoroutineType
from typing import Any, Final, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

MOST_STEPS: Final = 30_000
"""Callbacks after which a simulation that never comes to rest is given up."""
TRIES_TO_CLOSE: Final = 100


class Process:
    """One of several processes that share the loop. What it has begun stops where it dies, unasked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True

    def __repr__(self) -> str:
        return self.name


PROCESS: Final[ContextVar[Process | None]] = ContextVar("PROCESS", default=None)
"""Whose code is running; None for what outlives every process: the network, the servers."""


class Stuck(Exception):
    """A simulation did not come to rest in the time it has."""


class _Task(asyncio.Task[Any]):
    """Sets of tasks are walked in the order of their hashes: an address would differ on every run."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Task":
        task = super().__new__(cls)
        task.number = next(kwargs["loop"].numbers)
        return task

    number: int

    def __hash__(self) -> int:
        return self.number


class _Handle(asyncio.TimerHandle):
    """A callback, when it is due, and whose it is."""

    __slots__ = ("process",)
    process: Process | None


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Runs callbacks one at a time; where nothing is ready, time leaps to the next timer.

    Args:
        random: Decides which of the callbacks that are ready is next.
        shuffle: Whether any of them may be next; in the order in which they became ready if not,
            as the loops of asyncio and uvloop have it.
    """

    def __init__(self, random: Random, *, shuffle: bool) -> None:
        self.steps = 0
        self.numbers = count()
        self.faults: list[str] = []
        """What went wrong outside of any task."""
        self.after_step: Callable[[Process], None] | None = None
        """Told whose callback has just run; may end its process."""
        self._random = random
        self._shuffle = shuffle
        self._now = 0.0
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._tasks: list[asyncio.Task[Any]] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = self._handle(self._now, callback, args, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = self._handle(when, callback, args, context)
        heapq.heappush(self._timers, (when, next(self.numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, Result] | Coroutine[Any, Any, Result],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[Result]":
        task = _Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.faults.append(f"{context.get('message')}: {error!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    # What a simulation asks.

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Run until `done` says so at a moment when nothing is ready.

        Raises:
            Stuck: It does not by the time `until`.
        """
        with self._running():
            while True:
                while self._ready:
                    self._step()
                if done():
                    return
                if not self._timers or self._timers[0][0] > until or self.steps > MOST_STEPS:
                    raise Stuck(
                        f"not at rest {self._now:.1f} s and {self.steps} steps after the beginning"
                    )
                self._leap()

    def entered(self, work: Callable[[], None]) -> None:
        """Do something that asks for the running loop."""
        with self._running():
            work()

    def abandon(self) -> None:
        """Forget everything that is under way, and run none of it."""
        with self._running():
            for task in self._tasks:  # grows while coroutines are closed
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio.gather does
                if not task.done():
                    _close(task.get_coro())
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _handle(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> _Handle:
        context = copy_context() if context is None else context
        handle = _Handle(when, callback, args, self, context)
        handle.process = context.get(PROCESS)
        return handle

    def _step(self) -> None:
        """Run one callback, unless its process has died."""
        if self._shuffle and len(self._ready) > 1:
            self._ready.rotate(-int(self._random.random() * len(self._ready)))
        handle = self._ready.popleft()
        process = handle.process
        if handle.cancelled() or (process is not None and not process.alive):
            return
        self.steps += 1
        handle._run()  # what a loop does with its handles
        if process is not None and self.after_step is not None:
            self.after_step(process)

    def _leap(self) -> None:
        """Let time pass until something is due."""
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            *_, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._ready.append(handle)

    @contextmanager
    def _running(self) -> Generator[None, None, None]:
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=_vanish)
        _set_running_loop(self)
        try:
            yield
        finally:
            _set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)


def _vanish(_: AsyncGenerator[Any, Any]) -> None:
    """A process that is killed runs no `finally`."""


def _close(coroutine: Any) -> None:
    """End a coroutine for good, from its innermost await outwards; what it tries to await is refused."""
    for _ in range(TRIES_TO_CLOSE):
        if coroutine.cr_frame is None:
            return
        innermost = coroutine
        while isinstance(inner := innermost.cr_await, CoroutineType) and inner.cr_frame is not None:
            innermost = inner
        with suppress(Exception, asyncio.CancelledError):  # its process has died
            innermost.close()
