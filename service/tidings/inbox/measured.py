"""What is measured of live connections."""

from collections.abc import Callable
from typing import Protocol


class LiveMetrics(Protocol):
    """Metrics of the live connections of a process."""

    def connections(self, count: Callable[[str], int]) -> None:
        """This function counts the open connections of a kind."""
        ...

    def sent(self, kind: str, frame: str) -> None:
        """A frame of a type was sent on a connection of a kind."""
        ...

    def delay(self, seconds: float) -> None:
        """A new message was sent so long after it was committed."""
        ...

    def hints(self, count: int) -> None:
        """So many inboxes were said to have changed."""
        ...

    def closed(self, kind: str, code: int | None) -> None:
        """A connection of a kind ended: by us with this code, or by its client."""
        ...
