"""A look at something, shared by all who want one at the same time or shortly after."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class SharedLook(Generic[Value]):
    """At most one look at a time in a process, whatever many ask for it.

    Args:
        kept: Seconds for which a result is not looked for again. A failure is not kept.
        clock: Monotonic.
    """

    def __init__(self, kept: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = kept
        self._clock = clock
        self._looking: asyncio.Task[Value] | None = None
        self._ended_at = 0.0

    async def get(self, look: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The result of the look under way, or of the last one if that is recent, or of a new one.

        Raises whatever the look raises, for each of those who wait for it. One of them that is cancelled takes nothing
        from the others.

        Args:
            look: Looks. Of those who share this, each gives one that finds the same.
        """
        if self._looking is None or self._outdated(self._looking):
            self._looking = asyncio.create_task(look(), name="shared look")
            self._looking.add_done_callback(self._ended)
        return await asyncio.shield(self._looking)

    def _outdated(self, task: asyncio.Task[Value]) -> bool:
        if not task.done():
            return False
        failed = task.cancelled() or task.exception() is not None
        return failed or self._clock() - self._ended_at >= self._kept

    def _ended(self, task: asyncio.Task[Value]) -> None:
        self._ended_at = self._clock()
        if not task.cancelled():
            task.exception()  # it counts as seen, even if nobody waits any more
