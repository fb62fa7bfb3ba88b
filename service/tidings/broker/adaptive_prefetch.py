"""How many messages of a queue to ask for: as many as are wanted while they are small, few while they are large. Pure.

What comes all the same, and is too much, is not held: see `MemoryBudget`.
"""

from typing import Final

WINDOW: Final = 64
"""Messages that have to be smaller in a row before more of them are held."""
_AT_FIRST: Final = 21
"""Bits of the size that is expected before any is known, 2 MiB: whoever was killed for lack of memory starts carefully."""


class AdaptivePrefetch:
    """Goes by the largest message of late, to the next power of two: AMQP counts messages, not bytes.

    Args:
        prefetch: Most that are ever wanted.
        plan: Bytes that they should come to, about; a single larger one is held too.
    """

    def __init__(self, prefetch: int, plan: int) -> None:
        self._prefetch = prefetch
        self._plan = plan
        self._bits = _AT_FIRST
        self._largest = self._seen = 0
        self.most = self._affordable()
        """How many to hold."""

    def note(self, size: int) -> bool:
        """Another message of so many bytes has come; whether `most` has changed."""
        bits = size.bit_length()
        if bits > self._largest:
            if bits > self._bits:
                return self._expect(bits)
            self._largest = bits
        self._seen += 1
        return self._seen >= WINDOW and self._expect(self._largest)

    def _expect(self, bits: int) -> bool:
        before, self._bits = self.most, bits
        self._largest = self._seen = 0
        self.most = self._affordable()
        return self.most != before

    def _affordable(self) -> int:
        return max(1, min(self._prefetch, self._plan >> self._bits))
