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
            one.values[name]
            for one in self.measurements
            if (one.workload, one.contender, one.variant) == (workload, contender, variant)
            and name in one.values
        ]
        return summary(found) if found else None

    def variants(self, workload: str, contender: str) -> Sequence[str]:
        """In the order in which they were measured."""
        found = (one.variant for one in self._for(workload, contender))
        return list(dict.fromkeys(found))

    def workloads(self) -> Sequence[str]:
        """Those that were run."""
        return sorted({one.workload for one in self.measurements})

    def best_peer(self, workload: str, name: str, variant: str = "") -> tuple[str, Summary] | None:
        """The peer with the highest median, and its figures."""
        peers = (one.name for one in self.participants if one.peer)
        found = [(peer, it) for peer in peers if (it := self.of(workload, peer, name, variant))]
        return max(found, key=lambda one: one[1].median, default=None)

    def _for(self, workload: str, contender: str) -> Iterator[Measurement]:
        for one in self.measurements:
            if (one.workload, one.contender) == (workload, contender):
                yield one


def save(results: Results, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", "utf-8")


def load(path: Path) -> Results:
    """What `save` wrote."""
    data = json.loads(path.read_text("utf-8"))
    return Results(
        **{
            **data,
            "participants": [Participant(**one) for one in data["participants"]],
            "measurements": [Measurement(**one) for one in data["measurements"]],
            "gaps": [Gap(**one) for one in data["gaps"]],
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
