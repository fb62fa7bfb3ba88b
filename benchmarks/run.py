"""Runs the chosen workloads, every contender in turn, repeat by repeat, and keeps to its time."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import relays
from benchmarks.amqp import WireError
from benchmarks.contenders.base import PEERS_PYTHON, Contender
from benchmarks.machine import cores, machine, own_versions
from benchmarks.processes import Died
from benchmarks.results import Gap, Measurement, Participant, Results
from benchmarks.servers import Servers
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    workloads: Sequence[Workload]
    contenders: Sequence[Contender]
    scale: float
    limit: float
    """Seconds after which nothing new is begun."""
    data: Path
    """Where servers, logs and the unpacked sink live."""
    repeats: int | None = None
    """Instead of each workload's own number."""


@dataclass(slots=True)
class Notes:
    """What was measured so far."""

    measurements: list[Measurement] = field(default_factory=list)
    gaps: dict[tuple[str, str], Gap] = field(default_factory=dict)

    def gap(self, workload: Workload, contender: Contender, why: str) -> None:
        """Once for each pair."""
        key = (workload.name, contender.about.name)
        self.gaps.setdefault(key, Gap(*key, why))


def run(plan: Plan, say: Callable[[str], None]) -> Results:
    """All of it; what can't be measured becomes a gap that says why.

    Args:
        say: Told of each step.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    notes, where, before = Notes(), machine(), cores()
    sink = relays.find(plan.data / "smtp-sink")
    say("starting RabbitMQ and PostgreSQL")
    with Servers(plan.data / "servers") as servers:
        deadline = clock + plan.limit
        stage = Stage(servers, plan.scale, plan.data / "logs", say, sink, deadline)
        for workload in plan.workloads:
            _measure(plan, workload, stage, notes)
        where["CPU that the host took away"] = f"{cores().stolen_since(before):.1%}"
        versions = {**servers.versions, "SMTP sink": sink.name, **own_versions()}
    return Results(
        began=began.isoformat(timespec="minutes"),
        minutes=round((time.monotonic() - clock) / 60, 1),
        scale=plan.scale,
        machine=where,
        versions=versions,
        participants=list(_participants(plan.contenders)),
        measurements=notes.measurements,
        gaps=list(notes.gaps.values()),
    )


def _measure(plan: Plan, workload: Workload, stage: Stage, notes: Notes) -> None:
    repeats = plan.repeats or workload.repeats
    for repeat in range(repeats):
        for contender in _turned(plan.contenders, repeat):
            name = contender.about.name
            if workload.only and name not in workload.only:
                continue
            if (why := contender.about.cannot.get(workload.name)) is not None:
                if contender.about.peer:
                    notes.gap(workload, contender, why)
            elif stage.over:
                notes.gap(
                    workload, contender, f"out of time before repeat {repeat + 1} of {repeats}"
                )
            else:
                _once(workload, contender, stage, notes)


def _once(workload: Workload, contender: Contender, stage: Stage, notes: Notes) -> None:
    name, before = contender.about.name, cores()
    try:
        for measured in workload.measure(stage, contender):
            after = cores()
            values = {**measured.values, "stolen": after.stolen_since(before)}
            measurement, before = replace(measured, values=values), after
            notes.measurements.append(measurement)
            figures = ", ".join(f"{key} {value:,.1f}" for key, value in measurement.values.items())
            stage.say(f"{workload.name} {name} {measurement.variant}: {figures}")
    except (NotDone, Died, WireError, OSError) as error:
        stage.say(f"{workload.name} {name}: {error}")
        notes.gap(workload, contender, f"failed: {str(error).splitlines()[0]}")


def _turned(contenders: Sequence[Contender], by: int) -> Sequence[Contender]:
    """Each repeat begins with another contender, so that none is always first."""
    place = by % len(contenders)
    return [*contenders[place:], *contenders[:place]]


def _participants(contenders: Sequence[Contender]) -> Iterator[Participant]:
    versions = _peer_versions([contender.about.distribution for contender in contenders])
    for contender in contenders:
        about = contender.about
        yield Participant(
            name=about.name,
            version=f"{about.distribution} {versions[about.distribution]}",
            shape=str(about.shape),
            tried=[str(shape) for shape in about.tried],
            configuration=about.configuration,
            peer=about.peer,
            cannot=about.cannot,
        )


def _peer_versions(distributions: Sequence[str]) -> dict[str, str]:
    """As installed in the peers' environment; our own from ours."""
    ours = own_versions()
    theirs = sorted({name for name in distributions if name != "tidings"})
    code = "import sys, importlib.metadata as m; [print(m.version(name)) for name in sys.argv[1:]]"
    done = subprocess.run(
        [PEERS_PYTHON, "-c", code, *theirs], check=True, capture_output=True, text=True
    )
    return {"tidings": ours["tidings"], **dict(zip(theirs, done.stdout.split(), strict=True))}
