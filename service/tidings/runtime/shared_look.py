"""A look at something, shared by all who want one at the same time or shortly after."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from functools import partial
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
        self._last: tuple[Value, float] | None = None
        """What was seen last, and when it was begun to look."""
        self._took = 0.0
        """Seconds that it took to see that."""

    async def get(self, look: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The result of the look under way, or of the last one if that is recent, or of a new one.

        Raises whatever the look raises, for each of those who wait for it. One of them that is cancelled takes nothing
        from the others.

        Args:
            look: Looks. Of those who share this, each gives one that finds the same.
        """
        return await asyncio.shield(self.begin(look))

    def begin(self, look: Callable[[], Coroutine[Any, Any, Value]]) -> asyncio.Task[Value]:
        """The look that `get` waits for; one is begun if none is under way or recent."""
        if self._looking is None or self._outdated(self._looking):
            self._looking = asyncio.create_task(look(), name="shared look")
            self._looking.add_done_callback(partial(self._ended, self._clock()))
        return self._looking

    def last(self, most: float) -> Value | None:
        """What was seen last, if that is not more than so many seconds ago."""
        if self._last is None or self._clock() - self._last[1] > most:
            return None
        return self._last[0]

    async def soon(
        self, look: Callable[[], Coroutine[Any, Any, Value]], patience: float, most: float
    ) -> Value:
        """The same as `get`, however long it takes; but what was seen last, if it takes longer and that is good enough.

        Args:
            look: As for `get`; it goes on for those who come later.
            patience: Seconds to wait for it. Where the last one took longer nobody waits, and the next one is begun after
                ten times as long.
            most: Seconds for which what was seen last is good enough.
        """
        last, in_vain = self.last(most), self._took > patience
        if last is not None and in_vain and self.last(10 * self._took) is not None:
            return last
        looking = self.begin(look)
        if last is None:
            return await asyncio.shield(looking)
        if not in_vain:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    return await asyncio.shield(looking)
        return last

    async def recent(
        self, look: Callable[[], Coroutine[Any, Any, Value]], patience: float, most: float
    ) -> Value:
        """The same as `get`, or what was seen last if it takes longer; the look goes on for those who come later.

        Args:
            look: As for `get`.
            patience: Seconds to wait for it; ten times as long if nothing was seen before.
            most: Seconds for which what was seen last is good enough.

        Raises:
            TimeoutError: It takes longer, and nothing was seen lately.
        """
        last = self._last
        known = last is not None and self._clock() - last[1] < most
        try:
            async with asyncio.timeout(patience if known else 10 * patience):
                return await self.get(look)
        except TimeoutError:
            if last is None or not known:
                raise
            return last[0]

    def _outdated(self, task: asyncio.Task[Value]) -> bool:
        if not task.done():
            return False
        failed = task.cancelled() or task.exception() is not None
        return failed or self._clock() - self._ended_at >= self._kept

    def _ended(self, began: float, task: asyncio.Task[Value]) -> None:
        self._ended_at = self._clock()
        self._took = self._ended_at - began
        if task.cancelled():
            return
        # Seen, or not to be seen any more, though nobody waits.
        self._last = None if task.exception() else (task.result(), began)


class SharedLooks(Generic[Value]):
    """Shared looks at many things.

    Args:
        most: Things that are remembered; what nobody has looked at for longest is forgotten.
        clock: Monotonic.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._looks: OrderedDict[Hashable, SharedLook[Value]] = OrderedDict()

    def at(self, thing: Hashable, kept: float) -> SharedLook[Value]:
        """The look at a thing, which all share who look at it.

        Args:
            thing: What is looked at.
            kept: As for `SharedLook`; of a thing always the same.
        """
        shared = self._looks.setdefault(thing, SharedLook(kept, self._clock))
        self._looks.move_to_end(thing)
        if len(self._looks) > self._most:
            self._looks.popitem(last=False)
        return shared

    def forget(self) -> None:
        """Nothing of what was seen, or is being seen, is good enough any more."""
        self._looks.clear()
