"""Divides dead letters into batches, and spreads them over time."""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final, Protocol, TypeVar

AT_ONCE: Final = 1000
"""Dead letters taken in one transaction."""
FEW: Final = 200
"""The same of a dry run, which may end after any of them."""
BYTES_AT_ONCE: Final = 16 * 1024 * 1024
LOOK: Final = 0.5
"""Seconds between two looks at what became of what was sent."""
INTERRUPTED: Final = "interrupted"
"""Why the rest is left alone where a person wants it so."""


class Pace:
    """Spreads dead letters evenly over time.

    Args:
        rate: Dead letters a second; None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._next = 0.0
        self._looked = 0.0

    def turn(self, dead_letters: int) -> float:
        """Seconds until so many may go."""
        if self._rate is None:
            return 0.0
        now = monotonic()
        begins = max(self._next, now)
        self._next = begins + dead_letters / self._rate
        return begins - now

    def time_to_look(self) -> bool:
        """Whether the last look was a while ago."""
        if monotonic() - self._looked < LOOK:
            return False
        self._looked = monotonic()
        return True


class Sized(Protocol):
    """Something that goes in batches."""

    @property
    def size(self) -> int:
        """Bytes of its body."""
        ...


Item = TypeVar("Item", bound=Sized)


def batches(
    items: Sequence[Item], rate: float | None, at_once: int = AT_ONCE
) -> Iterator[list[Item]]:
    """As many as go together: bounded in number, in bytes, and so that a rate is kept smoothly."""
    most = at_once if rate is None else max(1, min(at_once, int(rate / 5)))
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) >= most or size + item.size > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch
