"""W9, publish: many notifications through the client, each confirmed."""

import subprocess
from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import PYTHON, Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.results import Measurement
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import Column, Workload

MESSAGES: Final = 40_000
LONGEST: Final = 120.0


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Once."""
    assert isinstance(contender, Tidings)
    job, count = stage.job(contender), stage.sized(MESSAGES)
    with stage.prepared(contender, job) as wire:
        program = [PYTHON, "-m", "benchmarks.contenders.tidings_producer", job.amqp_url, str(count)]
        done = subprocess.run(
            program,
            env=contender.environment(job),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        arrived = wire.depth(contender.queue("normal"))
    if done.returncode != 0 or arrived != count:
        raise NotDone(f"{arrived} of {count} arrived: {done.stderr.strip()[-300:]}")
    yield Measurement("W9", contender.about.name, {"rate": float(done.stdout)})


W9: Final = Workload(
    name="W9",
    title="Publish",
    what="40,000 notifications through `Producer.publish_many`, each persistent, mandatory and confirmed, in one "
    "process. W10 is the same over HTTP.",
    columns=(Column("rate", "notifications/s"),),
    measure=measure,
    repeats=2,
    only=frozenset({"Tidings"}),
)
