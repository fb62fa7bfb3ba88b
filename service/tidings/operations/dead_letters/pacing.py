"""Divides dead letters into batches, and spreads them over time."""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Final

from tidings.ledger.dead_letters.search import Chosen

AT_ONCE: Final = 500
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


def batches(
    dead_letters: Sequence[Chosen], rate: float | None, at_once: int = AT_ONCE
) -> Iterator[list[Chosen]]:
    """As many as go together: bounded in number, in bytes, and so that a rate is kept smoothly."""
    most = at_once if rate is None else max(1, min(at_once, int(rate / 5)))
    batch: list[Chosen] = []
    size = 0
    for dead_letter in dead_letters:
        if batch and (len(batch) >= most or size + dead_letter.size > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(dead_letter)
        size += dead_letter.size
    if batch:
        yield batch
