"""Who was signed in a moment ago: for the few pages that say something while PostgreSQL, which has the sessions, is away."""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from tidings.console.visitors import Visitor

KEPT: Final = 900.0
"""Seconds for which somebody is remembered who was seen."""
MOST: Final = 10_000
"""Sessions that are remembered."""


class Recollection:
    """Sessions as this process saw them last.

    Without PostgreSQL nobody can end a session either. Who has ended one elsewhere just before sees the depths of the
    queues, for everything else is in PostgreSQL.

    Args:
        clock: Monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[bytes, tuple[Visitor, float]] = OrderedDict()

    def note(self, token: str, visitor: Visitor | None) -> None:
        """Keep whose session it is; None: it is over."""
        digest = _digest(token)
        self._seen.pop(digest, None)
        if visitor is not None:
            self._seen[digest] = visitor, self._clock()
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def of(self, token: str) -> Visitor | None:
        """Whose session it was; None: it was not seen lately."""
        visitor, at = self._seen.get(_digest(token), (None, 0.0))
        return visitor if visitor is not None and self._clock() - at < KEPT else None


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
