"""The machine's clock; a simulation replaces it."""

from datetime import UTC, datetime
from time import monotonic
from typing import Final

from tidings.delivery.ports import Clock


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class MachineClock:
    """The time of day, and the seconds of the machine's monotonic clock."""

    now = staticmethod(utc_now)
    seconds = staticmethod(monotonic)


CLOCK: Final[Clock] = MachineClock()
