"""W7, scale: sends that take 100 ms, as a real provider's do; the rate against the concurrency."""

from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.drain import drain
from benchmarks.messages import messages
from benchmarks.results import Measurement
from benchmarks.stage import Stage
from benchmarks.workloads.base import Column, Workload

SLOWNESS: Final = 0.1
"""Seconds each send takes."""
OURS: Final = ((50, 1), (100, 1), (200, 1), (400, 1), (400, 2), (800, 2))
THEIRS: Final = ((100, 2), (400, 2))
"""Concurrency in all, processes."""
SECONDS: Final = 8.0
"""That the queue would last if nothing else took time."""
LONGEST: Final = 8.0


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Each concurrency once."""
    for at_once, processes in THEIRS if contender.about.peer else OURS:
        possible = at_once / SLOWNESS
        waiting = list(messages(int(possible * stage.seconds(SECONDS))))
        shape = contender.for_concurrency(at_once, processes)
        job = stage.job(contender, shape=shape, slowness=SLOWNESS)
        values = drain(stage, contender, job, waiting, longest=LONGEST)
        more = {
            "of_possible": values["rate"] / possible,
            "cpu_each": values["cpu_share"] / processes,
            "processes": float(processes),
        }
        variant = f"{at_once} at once in {processes} process{'es' if processes > 1 else ''}"
        yield Measurement("W7", contender.about.name, {**values, **more}, variant)


W7: Final = Workload(
    name="W7",
    title="Scale",
    what="W1 with sends that take 100 ms each. What is possible is the concurrency divided by 0.1 s. CPU is that "
    "of each process, of one core.",
    columns=(
        Column("rate", "messages/s"),
        Column("of_possible", "of what is possible", ".0%"),
        Column("cpu_each", "CPU of each process", ".0%"),
        Column("machine_busy", "CPU of the machine", ".0%"),
        Column("memory_mb", "peak memory, MB"),
    ),
    measure=measure,
)
