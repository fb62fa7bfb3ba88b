"""W1, durable no-op: how fast a preloaded queue drains."""

from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.drain import drain
from benchmarks.messages import messages
from benchmarks.results import Measurement
from benchmarks.stage import Stage
from benchmarks.workloads.base import RATE, Workload

MESSAGES: Final = 50_000
LONGEST: Final = 10.0
"""Seconds: a contender that has not drained the queue by then has shown its rate."""


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Once."""
    yield Measurement("W1", contender.about.name, once(stage, contender))


def once(stage: Stage, contender: Contender) -> dict[str, float]:
    """What came of it."""
    waiting = list(messages(stage.sized(MESSAGES)))
    return drain(stage, contender, stage.job(contender), waiting, longest=LONGEST)


W1: Final = Workload(
    name="W1",
    title="Durable no-op",
    what="A preloaded queue of 50,000 is drained: each message is read and validated, one row for the "
    "notification with its payload and one for the attempt are committed, and then it is acked. "
    "Nothing is sent.",
    columns=RATE,
    measure=measure,
    repeats=5,  # our ratio to the bare loop moves by a fifth from one to the next
)
