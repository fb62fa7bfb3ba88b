"""How many messages of a queue to prefetch: the whole prefetch while they are small, few while they are large. Pure.

Messages beyond the memory budget are not held: see `MemoryBudget`.
"""

from typing import Final

WINDOW: Final = 64
"""Smaller messages in a row after which the prefetch rises."""
_AT_FIRST: Final = 21
"""Bits of the size that is expected at first, 2 MiB: a worker that was killed for its memory starts carefully."""


class AdaptivePrefetch:
    """A prefetch by the largest recent message, rounded up to a power of two: AMQP counts messages, not bytes.

    Args:
        prefetch: Most messages, however small.
        plan: Bytes that they should not exceed, roughly; a single larger message is held too.
    """

    def __init__(self, prefetch: int, plan: int) -> None:
        self._prefetch = prefetch
        self._plan = plan
        self._bits = _AT_FIRST
        self._largest = self._seen = 0
        self.most = self._affordable()
        """The prefetch now."""

    def note(self, size: int) -> bool:
        """Note the size of a message; whether `most` changed."""
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
