"""Group commit: combines the statements of concurrent callers."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, Self, TypeVar

from tidings.delivery.errors import LedgerUnavailable, RowsMoving, TidingsError

Item = TypeVar("Item")
Result = TypeVar("Result")


HEAVIEST: Final = 4 * 1024 * 1024
"""Bytes in one statement: two hundred large bodies would not get through in time."""


class Batcher(Generic[Item, Result]):
    """Coalesces concurrent `submit` calls into calls of `run`.

    The first item goes at once, and whatever is submitted while its batch is under way goes
    together next: load makes batches larger, not more, and an idle ledger adds no wait. Only a
    full batch starts beside one that is under way. After a batch of several the next one waits
    for a moment, unless it is full: a statement costs as much as a dozen of its rows.

    Args:
        run: Does the work for a batch and returns a result per item, in order.
        size: Most items in a batch.
        lanes: Batches under way at once.
        pause: Seconds that a batch waits for company after one that had some.
        weigh: An item's bytes, where they count; a batch takes no more than `HEAVIEST`, or a single heavier one.
        undo: Called with the result of a caller that was cancelled meanwhile.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size: int,
        lanes: int = 2,
        pause: float = 0.0,
        weigh: Callable[[Item], int] | None = None,
        undo: Callable[[Item, Result], Awaitable[None]] | None = None,
    ) -> None:
        self._run = run
        self._size = size
        self._lanes = lanes
        self._pause = pause
        self._weigh = weigh
        self._undo = undo
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._due = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pausing: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let what was submitted finish."""
        self._pause = 0.0
        self._paused()
        while self._waiting or self._running:
            self._start()
            await asyncio.gather(*self._running, return_exceptions=True)

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Have this item done with the next batch; what comes of it is to be awaited.

        It is `LedgerUnavailable` where the batch could not be done; then it may be submitted again.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if not self._due:
            self._due = True
            loop.call_soon(self._start)  # after everyone who is ready now has submitted too
        return future

    def _start(self) -> None:
        self._due = False
        while self._may_start():
            batch = self._next_batch()
            task = asyncio.create_task(self._work(batch), name="batch")
            self._running.add(task)
            task.add_done_callback(self._finished if len(batch) > 1 else self._finished_alone)

    def _next_batch(self) -> "list[tuple[Item, asyncio.Future[Result]]]":
        """From the front of the queue, as much as fits; without cancelled items."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        weight = 0
        while self._waiting and len(batch) < self._size:
            item, future = self._waiting[0]
            if self._weigh is not None:
                weight += self._weigh(item)
                if batch and weight > HEAVIEST:
                    break
            self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        return batch

    def _may_start(self) -> bool:
        if len(self._waiting) >= self._size:
            return len(self._running) < self._lanes
        return bool(self._waiting) and not (self._running or self._pausing)

    def _finished_alone(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    def _finished(self, task: asyncio.Task[None]) -> None:
        if self._pause and not self._pausing:
            loop = asyncio.get_running_loop()
            self._pausing = loop.call_later(self._pause, self._paused)
        self._finished_alone(task)

    def _paused(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        self._start()

    async def _work(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        """Run a batch, and answer every caller in it, whatever ends this task."""
        try:
            if batch:
                await self._done(batch)
        finally:
            _fail(batch, LedgerUnavailable("PostgreSQL: the statement was cut off"))

    async def _done(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        """Run a batch; where it fails for a reason of its own, find the item that is to blame."""
        try:
            results = await self._run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # passed to its callers
            away = isinstance(error, LedgerUnavailable) and not isinstance(error, RowsMoving)
            if away or len(batch) == 1:
                _fail(batch, error)
            else:
                for submitted in batch:
                    await self._work([submitted])
        else:
            unwanted = _answer(batch, results)
            for item, result in unwanted:
                await self._take_back(item, result)

    async def _take_back(self, item: Item, result: Result) -> None:
        if self._undo is not None:
            with suppress(TidingsError):  # then its lease runs out
                await self._undo(item, result)


def _answer(
    batch: "Sequence[tuple[Item, asyncio.Future[Result]]]", results: Sequence[Result]
) -> list[tuple[Item, Result]]:
    """Tell everybody; what was done for those who are gone."""
    unwanted: list[tuple[Item, Result]] = []
    for (item, future), result in zip(batch, results, strict=True):
        if future.done():
            unwanted.append((item, result))
        else:
            future.set_result(result)
    return unwanted


def _fail(batch: "Sequence[tuple[Item, asyncio.Future[Result]]]", error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
