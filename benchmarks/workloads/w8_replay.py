"""W8, replay: a hundred thousand dead letters go back to their lane."""

import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import PYTHON, Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.filling import make_dead_letter
from benchmarks.results import Measurement
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import Column, Workload

DEAD_LETTERS: Final = 100_000
LONGEST: Final = 180.0
REPLAY: Final = "from tidings.cli.main import main; main()"


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """The command that people run, from its start to its end."""
    assert isinstance(contender, Tidings)
    job, count = stage.job(contender), stage.sized(DEAD_LETTERS)
    with stage.prepared(contender, job) as wire:
        make_dead_letter(stage.servers, count)
        began = time.monotonic()
        done = subprocess.run(
            [PYTHON, "-c", REPLAY, "replay", "--all", "--yes", "--watch-timeout", "0"],
            env=contender.environment(job),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        took = time.monotonic() - began
        arrived = wire.depth(contender.queue("normal"))
    if done.returncode != 0 or arrived != count:
        raise NotDone(f"{arrived} of {count} dead letters came back: {done.stderr.strip()[-300:]}")
    yield Measurement("W8", contender.about.name, {"rate": count / took, "seconds": took})


W8: Final = Workload(
    name="W8",
    title="Replay",
    what="`tidings replay --all --yes` of 100,000 dead letters, from the command's start to its end: each begins a "
    "new epoch in the ledger, is published, confirmed and closed. No other contender has this.",
    columns=(Column("rate", "dead letters/s"), Column("seconds", "seconds", ",.1f")),
    measure=measure,
    only=frozenset({"Tidings"}),
)
