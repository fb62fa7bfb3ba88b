"""Group commit: many callers await one statement each, and few statements run."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Self, TypeVar

from tidings.delivery.errors import LedgerUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Coalesces concurrent `submit` calls into calls of `run`.

    A batch starts when it is full, or `wait` seconds after its first item; while `lanes` batches
    are under way the next ones fill up, so that load makes batches larger, not more.

    Args:
        run: Does the work for a batch and returns a result per item, in order.
        size: Most items in a batch.
        wait: Seconds to wait for company.
        lanes: Batches under way at once.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size: int,
        wait: float,
        lanes: int = 2,
    ) -> None:
        self._run = run
        self._size = size
        self._wait = wait
        self._lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let what was submitted finish."""
        while self._waiting or self._running:
            self._start()
            await asyncio.gather(*self._running, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    async def submit(self, item: Item) -> Result:
        """Have this item done with the next batch.

        Raises:
            LedgerUnavailable: The batch could not be done; it may be submitted again.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._size:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait, self._start)
        return await future

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._running) < self._lanes:
            batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            task = asyncio.create_task(self._work(batch), name="batch")
            self._running.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._start()

    async def _work(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        """Run a batch; where it fails for a reason of its own, find the item that is to blame."""
        try:
            results = await self._run([item for item, _ in batch])
        except LedgerUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001  # handed to whoever submitted it
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for one in batch:
                    await self._work([one])
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: "Sequence[tuple[Item, asyncio.Future[Result]]]", error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
