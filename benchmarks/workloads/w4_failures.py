"""W4, failures: a fifth fails once and is due again in five seconds; is it on time, and what does it slow down?"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.amqp import Wire
from benchmarks.attempts import Attempt, attempts, milliseconds
from benchmarks.contenders.base import RETRY_AFTER, Contender
from benchmarks.messages import Message, messages
from benchmarks.pace import publish_evenly
from benchmarks.processes import Processes
from benchmarks.results import Measurement, percentile
from benchmarks.stage import READY_WITHIN, NotDone, Stage, preload, wait_for
from benchmarks.workloads import w1_no_op
from benchmarks.workloads.base import Column, Workload

WARM_UP: Final = 200
LOAD: Final = 0.5
SECONDS: Final = 12.0
FAILING: Final = 0.2
ON_TIME: Final = 0.3
"""Seconds after which a second attempt is late."""
SETTLED_WITHIN: Final = 30.0
REPEATS: Final = 3


@dataclass(frozen=True, slots=True)
class Phase:
    """What was published, when, and until when."""

    published: dict[str, float]
    """Id → when."""
    failing: frozenset[str]
    ended: float


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """The same load without failures, and then with; ours several times, for one pause would decide.

    The rate it reaches is measured once more before: minutes later a shared machine may be faster or slower.
    """
    assert contender.attempts is not None
    top = w1_no_op.once(stage, contender)["rate"]
    for _ in range(1 if contender.about.peer else REPEATS):
        yield _once(stage, contender, contender.attempts, top * LOAD)


def _once(stage: Stage, contender: Contender, table: str, rate: float) -> Measurement:
    without, with_failures = _publish(stage, contender, rate, int(rate * stage.seconds(SECONDS)))
    rows = attempts(stage.servers, table)
    values = {
        "rate": rate,
        **_punctuality(with_failures, rows),
        "healthy": _healthy(with_failures, rows) / _healthy(without, rows),
        "healthy_p99_ms": _p99(with_failures, rows),
        "before_p99_ms": _p99(without, rows),
    }
    return Measurement("W4", contender.about.name, values)


def _punctuality(phase: Phase, rows: Sequence[Attempt]) -> dict[str, float]:
    """How late second attempts began; one that never did is as late as can be."""
    first = {attempt.id: attempt.ended for attempt in rows if attempt.number == 1}
    second = {attempt.id: attempt.began for attempt in rows if attempt.number == 2}
    late = [
        second[name] - first[name] - RETRY_AFTER if name in second else SETTLED_WITHIN
        for name in phase.failing
        if name in first
    ]
    if not late:
        raise NotDone("nothing failed: use a larger scale")
    on_time = sum(1 for delay in late if delay <= ON_TIME) / len(late)
    return {"on_time": on_time, **{f"late_{key}": it for key, it in milliseconds(late).items()}}


def _healthy(phase: Phase, rows: Sequence[Attempt]) -> float:
    """Share of what does not fail that was sent before the last was published."""
    healthy = phase.published.keys() - phase.failing
    return sum(
        1 for attempt in rows if attempt.id in healthy and attempt.began <= phase.ended
    ) / len(healthy)


def _p99(phase: Phase, rows: Sequence[Attempt]) -> float:
    healthy = phase.published.keys() - phase.failing
    waited = [
        attempt.ended - phase.published[attempt.id] for attempt in rows if attempt.id in healthy
    ]
    return percentile(waited, 0.99) * 1000


def _publish(stage: Stage, contender: Contender, rate: float, count: int) -> tuple[Phase, Phase]:
    job = stage.job(contender)
    with stage.prepared(contender, job) as wire, stage.running(contender, job) as processes:
        preload(wire, contender, messages(WARM_UP))
        _settle(stage, contender, processes, WARM_UP, READY_WITHIN)
        without = _evenly(wire, contender, list(messages(count, first=WARM_UP)), rate)
        _settle(stage, contender, processes, WARM_UP + count, SETTLED_WITHIN)
        waiting = list(messages(count, failing=FAILING, first=WARM_UP + count))
        with_failures = _evenly(wire, contender, waiting, rate)
        expected = WARM_UP + 2 * count + len(with_failures.failing)
        _settle(stage, contender, processes, expected, SETTLED_WITHIN)
    return without, with_failures


def _evenly(wire: Wire, contender: Contender, waiting: list[Message], rate: float) -> Phase:
    moments = publish_evenly(wire, [contender.envelope(message) for message in waiting], rate)
    return Phase(
        published={message.id: moment for message, moment in zip(waiting, moments, strict=True)},
        failing=frozenset(
            message.id for message in waiting if message.recipient.startswith("fail-")
        ),
        ended=time.time(),
    )


def _settle(
    stage: Stage, contender: Contender, processes: Processes, count: int, seconds: float
) -> None:
    wait_for(
        lambda: stage.recorded(contender) >= count,
        processes,
        seconds,
        f"recording {count} attempts",
    )


W4: Final = Workload(
    name="W4",
    title="Failures",
    what="At half of the contender's own W1 rate, measured just before, without failures and then with a "
    "fifth that fails once and is due again five seconds later. On time is a second attempt that begins "
    "within 300 ms of that. Healthy is the share of what does not fail that was sent while publishing "
    "went on, over that share without failures.",
    columns=(
        Column("rate", "published/s"),
        Column("on_time", "on time", ".1%"),
        Column("late_p50_ms", "late p50, ms"),
        Column("late_p99_ms", "late p99, ms"),
        Column("healthy", "healthy", ".3f"),
        Column("before_p99_ms", "p99 without, ms"),
        Column("healthy_p99_ms", "p99 of the healthy, ms"),
    ),
    measure=measure,
)
