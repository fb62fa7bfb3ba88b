"""W12, retention: latency while a week of millions of notifications is dropped."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from benchmarks.amqp import Wire
from benchmarks.attempts import attempts, milliseconds
from benchmarks.contenders.base import Contender, Job
from benchmarks.filling import fill_ledger
from benchmarks.messages import Message, messages
from benchmarks.pace import publish_evenly
from benchmarks.processes import Processes
from benchmarks.results import Measurement
from benchmarks.stage import READY_WITHIN, NotDone, Stage, preload, wait_for
from benchmarks.workloads import w1_no_op
from benchmarks.workloads.base import Column, Workload

ROWS: Final = 5_000_000
LOAD: Final = 0.25
"""Of the W1 rate. Publisher, RabbitMQ, worker and PostgreSQL keep two cores busy for about two thirds with it: a machine without
idle time shows how it shares cores, not what the retention does to others."""
BEFORE: Final = 120.0
"""Seconds of load before the week is dropped: checkpoints and vacuums of PostgreSQL come in them as in the time that is compared."""
LONGEST: Final = 900.0
WARM_UP: Final = 500
WEEKS_AGO: Final = 10

ADD: Final = "SELECT tidings_add_partition(name, $1::date, $2::date) FROM tidings_partitioned() ORDER BY name DESC"
RECENT: Final = "SELECT count(*) FROM attempts WHERE started_at > now() - interval '1 hour'"


@dataclass(slots=True)
class Dropping:
    """`tidings retention run`, when it began and ended, and whether it succeeded."""

    job: Job
    contender: Contender
    began: float = 0.0
    ended: float = 0.0
    output: str = ""
    code: int | None = None
    thread: threading.Thread = field(init=False)

    def start(self, after: float) -> None:
        """Run it in a thread, `after` so many seconds."""
        self.thread = threading.Thread(target=self._run, args=(after,), daemon=True)
        self.thread.start()

    def _run(self, after: float) -> None:
        time.sleep(after)
        self.began = time.time()
        command = "from tidings.cli.main import main; main()"
        done = subprocess.run(
            ["nice", "-n", "19", sys.executable, "-c", command, "retention", "run", "--yes"],
            env={
                **self.contender.environment(self.job),  # type: ignore[attr-defined]  # Tidings alone takes part
                "PATH": "/usr/bin:/bin",
                "TIDINGS_RETENTION": "30d",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        self.ended = time.time()
        self.output, self.code = done.stdout + done.stderr, done.returncode


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Three figures of one run: before, while the week is dropped, and after."""
    rate = w1_no_op.once(stage, contender)["rate"] * LOAD
    stage.servers.empty()
    monday = _monday(weeks_ago=WEEKS_AGO)
    stage.servers.sql(ADD, monday.date(), monday.date() + timedelta(weeks=1))
    rows = stage.sized(ROWS)
    stage.say(f"W12 filling a week with {rows:,} notifications")
    fill_ledger(stage.servers, 0, rows, began=monday)
    published, dropping = _publish(stage, contender, rate)
    if dropping.code != 0 or "dropped" not in dropping.output:
        raise NotDone(f"the week was not dropped: {dropping.output[-300:]}")
    ended = {row.id: row.ended for row in attempts(stage.servers, "attempts")}
    stage.servers.empty()
    phases = {
        "before": (dropping.began - BEFORE, dropping.began),
        "while it is dropped": (dropping.began, dropping.ended),
    }
    for phase, (since, until) in phases.items():
        latencies = [
            ended[message.id] - moment for message, moment in published if since <= moment < until
        ]
        values = {**milliseconds(latencies), "rate": rate, "seconds": until - since}
        yield Measurement("W12", contender.about.name, values, phase)


def _publish(
    stage: Stage, contender: Contender, rate: float
) -> tuple[Sequence[tuple[Message, float]], Dropping]:
    """Publish evenly until the week is gone; which, and when."""
    job = stage.job(contender)
    dropping = Dropping(job, contender)
    with (
        stage.prepared(contender, job, clean=False) as wire,
        stage.running(contender, job) as processes,
    ):
        preload(wire, contender, messages(WARM_UP))
        _settle(stage, processes, WARM_UP)
        dropping.start(after=BEFORE)
        published: list[tuple[Message, float]] = []
        deadline = time.monotonic() + LONGEST
        while not dropping.ended and time.monotonic() < deadline:
            published += _second(wire, contender, rate, first=WARM_UP + len(published))
        _settle(stage, processes, WARM_UP + len(published))
    return published, dropping


def _second(
    wire: Wire, contender: Contender, rate: float, first: int
) -> Iterator[tuple[Message, float]]:
    batch = list(messages(int(rate), first=first))
    moments = publish_evenly(wire, [contender.envelope(message) for message in batch], rate)
    return zip(batch, moments, strict=True)


def _settle(stage: Stage, processes: Processes, count: int) -> None:
    wait_for(
        lambda: stage.servers.sql(RECENT)[0][0] >= count,
        processes,
        READY_WITHIN,
        f"recording {count} attempts",
    )


def _monday(weeks_ago: int) -> datetime:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=now.weekday(), weeks=weeks_ago)


W12: Final = Workload(
    name="W12",
    title="Retention",
    what="From the moment at which a notification is published to the end of its attempt, at a quarter of the "
    "W1 rate, before and while `nice -n 19 tidings retention run` drops a week of five million notifications.",
    columns=(
        Column("rate", "published/s"),
        Column("seconds", "seconds", ",.1f"),
        Column("p50_ms", "p50, ms", ",.1f"),
        Column("p99_ms", "p99, ms", ",.1f"),
        Column("p999_ms", "p99.9, ms", ",.1f"),
    ),
    measure=measure,
    only=frozenset({"Tidings"}),
)
