"""What a workload is: a name, what is done, and which figures come of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.contenders.base import Contender
from benchmarks.results import Measurement
from benchmarks.stage import Stage

Measure = Callable[[Stage, Contender], Iterator[Measurement]]
"""Does it once for one contender."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a workload."""

    value: str
    """Its name in `Measurement.values`."""
    title: str
    form: str = ",.0f"
    """As in `format()`."""


RATE = (
    Column("rate", "messages/s"),
    Column("cpu_us", "CPU µs/message"),
    Column("memory_mb", "peak memory, MB"),
)


@dataclass(frozen=True, slots=True)
class Workload:
    """One file in this folder each."""

    name: str
    title: str
    what: str
    """What is done, in a sentence or two."""
    columns: tuple[Column, ...]
    measure: Measure
    repeats: int = 1
    only: frozenset[str] = frozenset()
    """Who takes part; everyone who can where empty."""
