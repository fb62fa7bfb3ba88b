"""Counts what became of a job's items, part by part: what is final is not asked for again."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tidings.delivery.states import FINISHED
from tidings.ledger.steps import NO_LIMIT, TimeLimit

PART: Final = 5_000
"""Items counted by one statement."""

Count = Callable[[int, int], Awaitable[Mapping[str, int]]]
"""How many notifications of the items behind one position, up to another, are in which state."""


class Tally:
    """How many notifications of a job are in which state."""

    def __init__(self, count: Count, part: int = PART) -> None:
        self._count = count
        self._size = part
        self._parts: dict[int, Mapping[str, int]] = {}
        self._final: set[int] = set()
        self._next = 0

    async def look(self, upto: int, clock: TimeLimit = NO_LIMIT) -> None:
        """Count again what may have changed.

        Args:
            upto: The position of the last item that has a result.
            clock: When it is over, the rest waits for the next look; one part is counted in any case.
        """
        parts = -(-upto // self._size)
        for _ in range(parts):
            part = self._next % parts
            self._next = part + 1
            if part in self._final:
                continue
            begin = part * self._size
            counts = await self._count(begin, min(begin + self._size, upto))
            self._parts[part] = counts
            if upto >= begin + self._size and is_final(counts):
                self._final.add(part)
            if clock.over:
                return

    @property
    def counts(self) -> dict[str, int]:
        """By state."""
        total: Counter[str] = Counter()
        for counts in self._parts.values():
            total.update(counts)
        return dict(total)


def is_final(counts: Mapping[str, int]) -> bool:
    """Whether none of these will change any more."""
    return all(state in FINISHED for state in counts)
