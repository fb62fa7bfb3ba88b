"""Keeps what a sink has received, for people to look at and tests to wait for."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Box(Generic[T]):
    """What was received, oldest first; the oldest are forgotten beyond the limit."""

    def __init__(self, limit: int = 1000) -> None:
        self._items: deque[tuple[int, T]] = deque(maxlen=limit)
        self._changed = asyncio.Event()
        self.received = 0
        """How many were ever received: the last one's number."""

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> T:
        return self._items[index][1]

    def numbered(self) -> list[tuple[int, T]]:
        """What is kept, each with its number, counted from 1."""
        return list(self._items)

    def find(self, number: int) -> T | None:
        """The one with this number, while it is kept."""
        return next((item for its, item in self._items if its == number), None)

    def add(self, item: T) -> None:
        """Keeps one more and wakes who waits."""
        self.received += 1
        self._items.append((self.received, item))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def clear(self) -> None:
        """Forgets what is kept; the numbers go on."""
        self._items.clear()

    async def wait_for(
        self, count: int = 1, where: Callable[[T], bool] | None = None, timeout: float = 10
    ) -> list[T]:
        """Waits until so many that fit are kept, and returns them.

        Raises:
            TimeoutError: They did not come within so many seconds; the message counts.
        """
        found: list[T] = []
        try:
            async with asyncio.timeout(timeout):
                while len(found := [it for it in self if where is None or where(it)]) < count:
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(
                f"{len(found)} of {count} came within {timeout:g}s, and {len(self)} in all"
            ) from None
        return found
