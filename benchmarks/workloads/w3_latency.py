"""W3, latency: from publishing to the relay's yes, idle and under load."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.amqp import Wire
from benchmarks.attempts import milliseconds
from benchmarks.contenders.base import Contender
from benchmarks.messages import Message, messages
from benchmarks.pace import publish_evenly
from benchmarks.processes import Processes
from benchmarks.results import Measurement
from benchmarks.stage import READY_WITHIN, NotDone, Stage, preload, wait_for
from benchmarks.workloads import w2_email
from benchmarks.workloads.base import Column, Workload

WARM_UP: Final = 200
IDLE_RATE: Final = 50.0
IDLE_SECONDS: Final = 20.0
LOAD: Final = 0.7
LOAD_SECONDS: Final = 12.0
SETTLED_WITHIN: Final = 30.0
REPEATS: Final = 3
Published = dict[str, float]
"""Recipient → when."""


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Both, in one life of the contender; ours several times, for one pause would decide.

    The rate it reaches is measured once more before: minutes later a shared machine may be faster or slower.
    """
    top = w2_email.once(stage, contender)["rate"]
    phases = {
        "idle": (IDLE_RATE, stage.seconds(IDLE_SECONDS)),
        "70 % load": (top * LOAD, stage.seconds(LOAD_SECONDS)),
    }
    for _ in range(1 if contender.about.peer else REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "accepted.json"
            published = dict(_publish(stage, contender, phases, kept))
            accepted: Published = json.loads(kept.read_text("utf-8"))
        for phase, moments in published.items():
            yield _latencies(contender, phase, moments, accepted, phases[phase][0])


def _latencies(
    contender: Contender, phase: str, moments: Published, accepted: Published, rate: float
) -> Measurement:
    missing = [recipient for recipient in moments if recipient not in accepted]
    if missing:
        raise NotDone(f"{len(missing)} of {len(moments)} mails never reached the relay")
    latencies = [accepted[recipient] - moment for recipient, moment in moments.items()]
    values = {**milliseconds(latencies), "rate": rate}
    return Measurement("W3", contender.about.name, values, phase)


def _publish(
    stage: Stage, contender: Contender, phases: dict[str, tuple[float, float]], kept: Path
) -> Iterator[tuple[str, Published]]:
    with stage.relay(kept) as port:
        job = stage.job(contender, smtp_port=port)
        with stage.prepared(contender, job) as wire, stage.running(contender, job) as processes:
            done = preload(wire, contender, messages(WARM_UP, templated=True))
            _settle(stage, contender, processes, done, READY_WITHIN)
            for phase, (rate, seconds) in phases.items():
                waiting = list(messages(int(rate * seconds), templated=True, first=done))
                yield phase, _evenly(wire, contender, waiting, rate)
                done += len(waiting)
                _settle(stage, contender, processes, done, SETTLED_WITHIN)


def _evenly(wire: Wire, contender: Contender, waiting: list[Message], rate: float) -> Published:
    moments = publish_evenly(wire, [contender.envelope(message) for message in waiting], rate)
    return {message.recipient: moment for message, moment in zip(waiting, moments, strict=True)}


def _settle(
    stage: Stage, contender: Contender, processes: Processes, count: int, seconds: float
) -> None:
    wait_for(
        lambda: stage.recorded(contender) >= count,
        processes,
        seconds,
        f"recording {count} attempts",
    )


W3: Final = Workload(
    name="W3",
    title="Latency",
    what="From the moment at which a notification is published to the moment at which the SMTP sink accepts "
    "its mail: idle (50 a second), and at 70 % of the contender's own W2 rate, measured just before.",
    columns=(
        Column("rate", "published/s"),
        Column("p50_ms", "p50, ms", ",.1f"),
        Column("p99_ms", "p99, ms", ",.1f"),
        Column("p999_ms", "p99.9, ms", ",.1f"),
    ),
    measure=measure,
)
