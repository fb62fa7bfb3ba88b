"""Time limits of sends: one timer watches all of them, where `asyncio.timeout` would set one for each."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Deadlines:
    """Cancels work that exceeds its time limit, in the tasks of one event loop.

    Args:
        look: Seconds between two checks: work is cancelled at most this late.
    """

    def __init__(self, look: float = 1.0) -> None:
        self._interval = look
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def watching(self) -> bool:
        """Whether its timer runs."""
        return self._timer is not None

    async def within(self, limit: float, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` in the current task for about `limit` seconds at most. Calls don't nest.

        Raises:
            TimeoutError: It took longer, and was cancelled.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101  # for the type checker: this is a coroutine
        cancelled_before = task.cancelling()
        self._ends[task] = loop.time() + limit
        if self._timer is None:
            self._timer = loop.call_later(self._interval, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._late and task.cancelling() <= cancelled_before + 1:
                raise TimeoutError from None
            raise
        finally:
            del self._ends[task]
            if task in self._late:
                self._late.remove(task)
                task.uncancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, end in self._ends.items():
            if end <= now and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(self._interval, self._look) if self._ends else None
