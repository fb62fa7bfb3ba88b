"""When a schedule runs next, and what becomes of the runs that it missed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import islice, takewhile
from typing import Final
from uuid import UUID

from tidings.delivery.recurrence import times

GRACE: Final = timedelta(seconds=60)
"""A run that begins later than this after its time is missed."""
MOST_MISSED: Final = 5_000
"""Missed runs that are counted; of a longer outage the rest is left out."""
LOOKS_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=31), timedelta(days=366))
"""How far back the last times are looked for: as far as it takes, for there may be one a minute or one a month."""

_SEVEN: Final = 7 << 76 | 0b10 << 62
"""Version and variant of a UUIDv7."""
_RANDOM: Final = (1 << 80) - 1 - (0xF << 76 | 0b11 << 62)


class Misfire(StrEnum):
    """What becomes of missed runs: no scheduler ran, or dispatching was paused."""

    SEND_ONCE = "send_once"
    """However many were missed, one is sent, late."""
    SKIP = "skip"
    """None is sent; the schedule goes on with its next time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a schedule."""

    cron: str
    timezone: str
    starts_at: datetime | None = None
    """Nothing is due before."""
    ends_at: datetime | None = None
    """Nothing is due after."""
    max_runs: int | None = None
    """Runs after which it ends; skipped ones don't count."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every time after a moment.

        Raises:
            InvalidRequest: Expression or zone are not valid.
        """
        if self.starts_at is not None and self.starts_at > moment:
            moment = self.starts_at - timedelta(microseconds=1)
        for due in times(self.cron, self.timezone, moment):
            if self.ends_at is not None and due > self.ends_at:
                return
            yield due

    def next_times(self, moment: datetime, runs: int, most: int) -> list[datetime]:
        """The next few, after so many runs. Raises like `after`."""
        left = most if self.max_runs is None else min(most, self.max_runs - runs)
        return list(islice(self.after(moment), max(0, left)))

    def latest(self, moment: datetime, since: datetime, most: int) -> list[datetime]:
        """The last few times up to a moment, in order, and none before `since`. Raises like `after`."""
        found: list[datetime] = []
        for length in LOOKS_BACK:
            start = max(moment - length, since)
            found = list(takewhile(lambda due: due <= moment, self.after(start)))
            if len(found) >= most or start == since:
                break
        return found[-most:]


@dataclass(frozen=True, slots=True)
class RunDecision:
    """What is to be done about the times that have come."""

    due: datetime | None
    """The run to be sent; None if all were skipped."""
    late: bool
    """Whether that is a missed one."""
    skipped: int
    """Missed runs that are not sent."""
    next_run_at: datetime | None
    """The time after; None: it has ended."""


def decide(
    timing: Timing, misfire: Misfire, next_run_at: datetime, runs: int, now: datetime
) -> RunDecision:
    """Decide about a schedule whose time has come.

    Missed runs are sent together with one that is on time, if there is one: twice at a time would be of no use.

    Args:
        timing: Of the schedule.
        misfire: Its rule for missed runs.
        next_run_at: Its time, now or earlier.
        runs: Its runs so far.
        now: Of PostgreSQL's clock, which set `next_run_at` too.
    """
    missed: list[datetime] = []
    on_time: datetime | None = None
    for due in islice(_from(timing, next_run_at), MOST_MISSED):
        if due > now:
            break
        if now - due <= GRACE:
            on_time = due
            break
        missed.append(due)
    if on_time is not None:
        due, late, skipped = on_time, False, len(missed)
    elif missed and misfire is Misfire.SEND_ONCE:
        due, late, skipped = missed[-1], True, len(missed) - 1
    else:
        ends = missed[-1] if missed else next_run_at
        return RunDecision(None, False, len(missed), next(timing.after(max(ends, now)), None))
    ended = timing.max_runs is not None and runs + 1 >= timing.max_runs
    after = due if not late else max(due, now)
    return RunDecision(due, late, skipped, None if ended else next(timing.after(after), None))


def _from(timing: Timing, first: datetime) -> Iterator[datetime]:
    """The times from one on, that one included: the zone's rules may have changed since it was computed."""
    yield first
    yield from timing.after(first)


def run_id(schedule: UUID, run: str, at: datetime, index: int) -> UUID:
    """The id of a run's notification: the same whoever computes it, however often.

    A UUIDv7 of the time of its run, so that it lies in that week's partition.

    Args:
        schedule: Its id.
        run: Names the run within the schedule: its due time, or the key of one by hand.
        at: Its time.
        index: The recipient's place.
    """
    digest = sha256(f"{schedule}\n{run}\n{index}".encode()).digest()
    milliseconds = int(at.timestamp() * 1000) & ((1 << 48) - 1)
    return UUID(int=milliseconds << 80 | _SEVEN | int.from_bytes(digest[:10]) & _RANDOM)
