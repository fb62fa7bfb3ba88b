"""What needs a person's attention, from the numbers of one moment. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidings.broker.topology.layout import DEAD
from tidings.operations.channels import DISABLED, PAUSED, RECOVERING, UNSERVED, ChannelStatus
from tidings.operations.dead_letters.lookup import DeadLetterGroupView
from tidings.operations.dispatching import DispatchingView
from tidings.operations.statistics import Depth, StatisticsView
from tidings.operations.times import counted, span

LATE: Final = 300.0
"""Seconds after which a message that no worker has read has waited too long."""
LATELY: Final = 2
"""Hours of a trend in which dead letters that came count as new: the one that has begun, and the one before."""


class AttentionLevel(StrEnum):
    """How bad it is."""

    FAULT = "fault"
    """Something is not delivered that should be."""
    WARNING = "warning"
    """Somebody should look at it, or has ordered it."""


class Concern(StrEnum):
    """What it concerns, and so where to look."""

    SERVER = "server"
    CHANNEL = "channel"
    QUEUE = "queue"
    OVERDUE = "overdue"
    SCHEDULE = "schedule"
    SCHEDULER = "scheduler"
    DEAD_LETTER = "dead_letter"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs attention."""

    level: AttentionLevel
    subject: Concern
    name: str
    """Of the channel, queue, group or category; empty if there is one only."""
    text: str


def found(
    numbers: StatisticsView,
    groups: Sequence[DeadLetterGroupView] | None,
    scheduling: DispatchingView | None,
    targets: Mapping[str, float],
    *,
    all_tenants: bool,
) -> Sequence[Attention]:
    """Everything that is wrong, faults first.

    Args:
        numbers: Of the period that is looked at.
        groups: Of open dead letters; None if not known.
        scheduling: How dispatching stands; None if not known.
        targets: Seconds, by category, within which 95 of 100 should be sent.
        all_tenants: Whether to say what concerns all: servers, channels, queues, schedulers.
    """
    seen = [_fault(Concern.SERVER, "", error) for error in numbers.errors]
    if all_tenants:
        seen += [*_shared(numbers, scheduling)]
    seen += [*_own(numbers, groups, targets)]  # there may be many of these
    return sorted(seen, key=lambda each: list(AttentionLevel).index(each.level))


def _own(
    numbers: StatisticsView,
    groups: Sequence[DeadLetterGroupView] | None,
    targets: Mapping[str, float],
) -> Iterator[Attention]:
    """What concerns a tenant too."""
    if numbers.backlog is not None and numbers.backlog.overdue:
        text = f"{counted(numbers.backlog.overdue, 'scheduled notification')} overdue"
        yield _fault(Concern.OVERDUE, "", text)
    for view in groups or ():
        group, new = view.group, sum(view.group.trend.counts[-LATELY:])
        if new:
            fault = " ".join(filter(None, (group.channel, group.reason.value, group.code)))
            text = f"{counted(new, 'new dead letter')}, {fault}: {group.message}"
            yield _warning(Concern.DEAD_LETTER, group.fingerprint, text)
    known = numbers.statistics.categories if numbers.statistics else {}
    for category, target in targets.items():
        p95 = known[category].p95 if category in known else None
        if p95 is not None and p95 > target:
            text = f"{category} takes {span(p95)} (p95); its target is {span(target)}"
            yield _warning(Concern.TARGET, category, text)


def _shared(numbers: StatisticsView, scheduling: DispatchingView | None) -> Iterator[Attention]:
    """What concerns all tenants."""
    for status in numbers.not_delivering:
        if status.state != UNSERVED:
            yield _of_channel(status)
        elif not status.provider:
            text = f"no worker serves {status.channel}: it waits in its lanes"
            yield _fault(Concern.CHANNEL, status.channel, text)
    yield from _queues(numbers.depths or (), numbers.oldest)
    if scheduling is None:
        return
    if scheduling.paused and scheduling.order is not None:
        note = f": {scheduling.order.note}" if scheduling.order.note else ""
        text = f"dispatching was paused by {scheduling.order.actor}{note}"
        yield _warning(Concern.SCHEDULER, "", text)
    if not scheduling.copies:
        text = "no scheduler runs: nothing scheduled is sent, and no lost message is found"
        yield _fault(Concern.SCHEDULER, "", text)
    if late := scheduling.backlog.schedules_overdue:
        yield _fault(Concern.SCHEDULE, "", f"{counted(late, 'schedule')} overdue")


def _of_channel(status: ChannelStatus) -> Attention:
    name = f"{status.channel} {status.provider}".rstrip()
    reason = f": {status.reason}" if status.reason else ""
    text = f"{name} is {status.state.replace('_', ' ')}{reason}"
    ordered = status.state in {PAUSED, DISABLED, RECOVERING}
    return (_warning if ordered else _fault)(Concern.CHANNEL, status.channel, text)


def _queues(depths: Iterable[Depth], oldest: Mapping[str, float]) -> Iterator[Attention]:
    for depth in depths:
        if depth.messages is None:
            text = f"the queue {depth.queue} is missing: `tidings topology apply` makes it"
            yield _fault(Concern.QUEUE, depth.queue, text)
        elif depth.messages and ".retry." not in depth.queue:
            waited = oldest.get(depth.queue, 0.0)
            if depth.queue == DEAD and not depth.consumers:
                text = f"{counted(depth.messages, 'dead letter')} in the DLQ, and no archive runs"
                yield _fault(Concern.QUEUE, depth.queue, text)
            elif waited > LATE:
                text = f"{counted(depth.messages, 'message')} in {depth.queue}, the oldest for up to {span(waited)}"
                yield _fault(Concern.QUEUE, depth.queue, text)


def _fault(subject: Concern, name: str, text: str) -> Attention:
    return Attention(AttentionLevel.FAULT, subject, name, text)


def _warning(subject: Concern, name: str, text: str) -> Attention:
    return Attention(AttentionLevel.WARNING, subject, name, text)
