"""Remembers which content was shown to whom a moment ago, and recorded: a form that is checked while it is typed shows it again."""

from time import monotonic
from typing import Final
from uuid import UUID

LONG: Final = 900.0
"""Seconds for which it is remembered."""
MOST: Final = 10_000


class RecentlyShown:
    """What people have open in a form, in this process."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, UUID], float] = {}

    def add(self, session: str, id_: UUID) -> None:
        """Remember that a session has seen something, and that it was recorded."""
        self._at.pop((session, id_), None)
        self._at[session, id_] = monotonic()
        if len(self._at) > MOST:
            del self._at[next(iter(self._at))]

    def lately(self, session: str, id_: UUID) -> bool:
        """Whether a session has just seen it."""
        at = self._at.get((session, id_))
        return at is not None and monotonic() - at < LONG
