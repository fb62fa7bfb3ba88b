"""Measures how fast a contender empties a full queue: what W1, W2, W6 and W7 have in common.

The rate is the slope of the queue's depth between the first tenth (at most 2,000) and the last twentieth. A full
prefetch is outstanding at both ends, so what leaves the queue is what is settled, and neither starting
up nor the last stragglers count.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.amqp import Wire
from benchmarks.contenders.base import Contender, Job
from benchmarks.messages import Message
from benchmarks.processes import Processes, machine_time
from benchmarks.stage import READY_WITHIN, NotDone, Stage, preload, wait_for

EVERY: Final = 0.1
"""Seconds between two looks."""
WARM_UP: Final = 0.1
MOST_WARM_UP: Final = 2_000
TO: Final = 0.05
GIVEN_BACK_WITHIN: Final = 10.0
"""Of all messages: where measuring begins and ends."""


@dataclass(frozen=True, slots=True)
class Look:
    """A queue and its consumer at one moment."""

    at: float
    depth: int
    cpu: float
    """Seconds of the contender's own."""
    busy: float = 0.0
    """CPU seconds of all cores and processes…"""
    passed: float = 0.0
    """… of so many."""


def drain(
    stage: Stage,
    contender: Contender,
    job: Job,
    waiting: Sequence[Message],
    *,
    longest: float,
    clean: bool = True,
) -> dict[str, float]:
    """Fill, start, watch, end; the rate, CPU time a message and memory.

    Args:
        longest: Seconds after which measuring ends though the queue is not empty.
        clean: Whether the ledger is emptied before.

    Raises:
        NotDone: It stood still, or took messages without recording them.
        Died: A process ended.
    """
    with stage.prepared(contender, job, clean=clean) as wire:
        before = stage.recorded(contender)
        total = preload(wire, contender, waiting)
        with stage.running(contender, job) as processes:
            looks = list(
                _watch(wire, contender.queue(job.priorities[0]), processes, total, longest)
            )
            memory = processes.peak_memory()
        queue = contender.queue(job.priorities[0])
        _all_recorded(stage, contender, lambda: total - wire.depth(queue), before)
    return {**rates(looks, total), "memory_mb": memory}


def _watch(
    wire: Wire, queue: str, processes: Processes, total: int, longest: float
) -> Iterator[Look]:
    warm = total - min(total * WARM_UP, MOST_WARM_UP)
    wait_for(lambda: wire.depth(queue) < warm, processes, READY_WITHIN, "draining")
    deadline = time.monotonic() + longest
    while True:
        look = Look(time.monotonic(), wire.depth(queue), processes.cpu_seconds(), *machine_time())
        yield look
        if look.depth == 0 or look.at > deadline:
            return
        processes.check()
        time.sleep(EVERY)


def _all_recorded(stage: Stage, contender: Contender, gone: Callable[[], int], before: int) -> None:
    """What is gone from the queue must be in the ledger; requeued messages return in a moment."""
    if contender.attempts is None:
        return
    rows = stage.recorded(contender) - before
    deadline = time.monotonic() + GIVEN_BACK_WITHIN
    while (taken := gone()) > rows:
        if time.monotonic() > deadline:
            raise NotDone(f"{contender.about.name} took {taken} messages and recorded {rows}")
        time.sleep(EVERY)


def rates(looks: Sequence[Look], total: int) -> dict[str, float]:
    """From the first to the last look that counts: messages a second, CPU time for each, the share of a
    core that is, and how busy the whole machine was. Pure.
    """
    within = [look for look in looks if look.depth >= total * TO]
    first, last = looks[0], within[-1] if len(within) > 1 else looks[-1]
    done, took = first.depth - last.depth, last.at - first.at
    if done <= 0 or took <= 0:
        raise NotDone("too few messages to measure a rate: use a larger scale")
    cpu = last.cpu - first.cpu
    return {
        "rate": done / took,
        "cpu_us": cpu / done * 1e6,
        "cpu_share": cpu / took,
        "machine_busy": (last.busy - first.busy) / max(last.passed - first.passed, 0.01),
    }
