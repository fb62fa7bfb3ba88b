"""Jobs, each one action on many dead letters or notifications: kinds, plans, states and the moves between them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class JobKind(StrEnum):
    """What a job does with each of its items."""

    REPLAY = "replay"
    """Publishes dead letters again."""
    DISCARD = "discard"
    """Closes dead letters for good."""
    EDIT = "edit"
    """Changes the same fields in dead letters, and publishes them again if that is wanted."""
    CANCEL = "cancel"
    """Cancels notifications that are not sent yet."""
    RETRY = "retry"
    """Has entries of the outbox published at once."""
    MARK_PENDING = "mark_pending"
    """Has entries of the outbox published as if nobody had tried."""
    MARK_FAILED = "mark_failed"
    """Gives entries of the outbox up."""

    @property
    def decides(self) -> bool:
        """Whether its items are entries of the outbox."""
        return self in {JobKind.RETRY, JobKind.MARK_PENDING, JobKind.MARK_FAILED}

    @property
    def of_notifications(self) -> bool:
        """Whether its items are notifications, in the outbox or not; else they are dead letters."""
        return self is JobKind.CANCEL or self.decides


class JobState(StrEnum):
    """The state of a job."""

    CHOOSING = "choosing"
    """Its items are being chosen."""
    PREVIEW = "preview"
    """Its items are chosen, and nothing is done yet."""
    RUNNING = "running"
    """A process works on it, or the next one that is free will."""
    PAUSED = "paused"
    """By a person; it can be resumed."""
    STOPPED = "stopped"
    """By itself: too many items failed, or something is wrong that a person has to see to. It can be resumed."""
    FINISHED = "finished"
    """Each item has its result."""
    CANCELLED = "cancelled"
    """By a person, for good: the other items are left as they are."""


LONGEST_DELAY: Final = 300.0
"""Seconds by which the start of a job may be delayed."""

J = JobState

TRANSITIONS: Final = MappingProxyType(
    {
        J.CHOOSING: frozenset({J.PREVIEW, J.CANCELLED}),
        J.PREVIEW: frozenset({J.RUNNING, J.CANCELLED}),
        J.RUNNING: frozenset({J.PAUSED, J.STOPPED, J.FINISHED, J.CANCELLED}),
        J.PAUSED: frozenset({J.RUNNING, J.CANCELLED}),
        J.STOPPED: frozenset({J.RUNNING, J.CANCELLED}),
        J.FINISHED: frozenset[JobState](),
        J.CANCELLED: frozenset[JobState](),
    }
)
"""From each state, the states that may follow."""


def sources(after: JobState) -> tuple[JobState, ...]:
    """The states from which `after` may be reached."""
    return tuple(before for before, targets in TRANSITIONS.items() if after in targets)


@dataclass(frozen=True, slots=True)
class Plan:
    """How fast a job goes, in which waves, and when it stops.

    Args:
        force: Of a replay: also what was replayed or sent before.
        rate: Items a second; as fast as can be where None.
        canary: Sizes of the first waves, each watched before the next goes out.
        stop_at: Share of items that may fail again, from 0 to 1, before the rest is left alone.
        watch: Seconds to wait for what becomes of a wave, and of all at the end.
    """

    force: bool = False
    rate: float | None = None
    canary: tuple[int, ...] = ()
    stop_at: float | None = None
    watch: float = 60.0

    def waves(self, items: int) -> Iterator[tuple[int, int]]:
        """The canary waves of so many items: each as the position before its first item, and that of its last."""
        end = 0
        for size in self.canary:
            begin, end = end, min(end + size, items)
            if end > begin:
                yield begin, end
