"""Decides when a rule of alerts has something to report. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

EVERY_TENANT = "*"
"""The tenant of a rule that watches all of them."""
OF_ALERTS = "tidings_alert"
"""The entity type of notifications that are alerts: no rule reports their dead letters."""


class Watch(StrEnum):
    """What a rule watches."""

    DEAD_LETTERS = "dead_letters"
    """So many came within its time."""
    PROVIDERS = "providers"
    """One is down, for its time."""
    SCHEDULES = "schedules"
    """One is overdue, by its time."""
    QUEUES = "queues"
    """So many messages wait in one, the oldest for its time."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Dead letters of one minute."""

    minute: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Reached:
    """Enough dead letters came."""

    since: datetime
    """The first minute of those that made it enough."""
    count: int
    """All that came since then."""


def reached(arrivals: Sequence[Arrivals], threshold: int, lasting: float) -> Reached | None:
    """Whether so many dead letters came within so many seconds, at any time: a process that was away judges what it missed.

    Args:
        arrivals: What no alert has reported yet, by minute, oldest first.
        threshold: How many are enough.
        lasting: Seconds in which they have to come, in whole minutes.
    """
    within, count = deque[Arrivals](), 0
    for minute in arrivals:
        within.append(minute)
        count += minute.count
        while within[0].minute <= minute.minute - timedelta(seconds=max(60.0, lasting)):
            count -= within.popleft().count
        if count >= threshold:
            since = within[0].minute
            return Reached(since, sum(each.count for each in arrivals if each.minute >= since))
    return None
