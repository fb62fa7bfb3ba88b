"""Keeps what a sink has received, for people to look at and tests to wait for."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from tidings_local.sinks.store import Store

T = TypeVar("T")


class Box(Generic[T]):
    """What was received, oldest first; the oldest are forgotten beyond the limit."""

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._items: deque[tuple[int, T]] = deque(maxlen=limit)
        self._store: Store[T] | None = None
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

    def keep_in(self, file: Path, kind: type[T]) -> None:
        """Brings back what was kept in a file, and keeps there too what comes from now on."""
        self._store = Store(file, kind)
        self._items.extend(self._store.read())
        self._store.write(self._items)
        self.received = self._items[-1][0] if self._items else 0

    def add(self, item: T) -> None:
        """Keeps one more and wakes who waits."""
        self.received += 1
        self._items.append((self.received, item))
        if self._store is not None:
            self._store.append(self._items[-1])
            if self.received % self._limit == 0:
                self._store.write(self._items)  # it forgets as the box does, but not at each turn
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
