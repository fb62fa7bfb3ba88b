"""What was measured, as values: kept as JSON, summed up as medians."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Measurement:
    """One contender, one workload, once."""

    workload: str
    contender: str
    values: Mapping[str, float]
    """By name, e.g. `rate` in messages a second; the unit is part of the name where it isn't obvious."""
    variant: str = ""
    """E.g. `5,000,000 rows`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that was not measured, and why."""

    workload: str
    contender: str
    why: str


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part, and how it was set up."""

    name: str
    version: str
    shape: str
    """Processes × what each does at once."""
    tried: Sequence[str]
    configuration: Sequence[str]
    peer: bool
    cannot: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Summary:
    """Several measurements of the same."""

    median: float
    lowest: float
    highest: float
    count: int

    @property
    def spread(self) -> float:
        """Half of what lies between the lowest and the highest, as a share of the median."""
        return (self.highest - self.lowest) / 2 / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Results:
    """Everything of one run."""

    began: str
    minutes: float
    scale: float
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    participants: Sequence[Participant]
    measurements: Sequence[Measurement]
    gaps: Sequence[Gap] = field(default_factory=tuple)

    def of(self, workload: str, contender: str, name: str, variant: str = "") -> Summary | None:
        """The measurements of one thing; None where there are none."""
        found = [
            measurement.values[name]
            for measurement in self.measurements
            if (measurement.workload, measurement.contender, measurement.variant)
            == (workload, contender, variant)
            and name in measurement.values
        ]
        return summary(found) if found else None

    def variants(self, workload: str, contender: str) -> Sequence[str]:
        """In the order in which they were measured."""
        found = (measurement.variant for measurement in self._for(workload, contender))
        return list(dict.fromkeys(found))

    def workloads(self) -> Sequence[str]:
        """Those that were run."""
        return sorted({measurement.workload for measurement in self.measurements})

    def best_peer(self, workload: str, name: str, variant: str = "") -> tuple[str, Summary] | None:
        """The peer with the highest median, and its figures."""
        peers = (participant.name for participant in self.participants if participant.peer)
        found = [(peer, it) for peer in peers if (it := self.of(workload, peer, name, variant))]
        return max(found, key=lambda pair: pair[1].median, default=None)

    def _for(self, workload: str, contender: str) -> Iterator[Measurement]:
        for measurement in self.measurements:
            if (measurement.workload, measurement.contender) == (workload, contender):
                yield measurement


def save(results: Results, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", "utf-8")


def load(path: Path) -> Results:
    """What `save` wrote."""
    data = json.loads(path.read_text("utf-8"))
    return Results(
        **{
            **data,
            "participants": [Participant(**participant) for participant in data["participants"]],
            "measurements": [Measurement(**measurement) for measurement in data["measurements"]],
            "gaps": [Gap(**gap) for gap in data["gaps"]],
        }
    )


def summary(values: Sequence[float]) -> Summary:
    """Of at least one."""
    return Summary(median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them don't exceed; `share` from 0 to 1."""
    ordered = sorted(values)
    place = max(0, min(len(ordered) - 1, -(-len(ordered) * share // 1) - 1))
    return ordered[int(place)]
