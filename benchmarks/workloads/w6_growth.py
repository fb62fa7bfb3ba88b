"""W6, growth: W1 again with millions of rows in the ledger, and with half a million in the queue."""

from collections.abc import Iterator
from typing import Final

from benchmarks.contenders.base import Contender
from benchmarks.drain import drain
from benchmarks.filling import fill_ledger
from benchmarks.messages import messages
from benchmarks.results import Measurement
from benchmarks.stage import Stage
from benchmarks.workloads.base import RATE, Workload

LONGEST: Final = 8.0
BACKLOGS: Final = {"backlog 10k": 10_000, "backlog 500k": 500_000}
LEDGERS: Final = {"empty": 0, "1 million rows": 1_000_000, "5 million rows": 5_000_000}
MESSAGES: Final = 40_000
REPEATS: Final = 2


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Growing; who keeps no ledger only meets the backlogs."""
    for variant, count in BACKLOGS.items():
        for _ in range(REPEATS if count < MESSAGES else 1):  # filling the other one takes long
            yield _drain(stage, contender, variant, stage.sized(count))
    if contender.attempts == "attempts":
        stage.servers.empty()
        yield from _grow(stage, contender)
        stage.servers.empty()


def _grow(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    filled = 0
    for variant, rows in LEDGERS.items():
        wanted = round(rows * stage.scale)
        if wanted > filled:
            stage.say(f"W6 filling the ledger up to {wanted:,} rows")
            fill_ledger(stage.servers, filled, wanted)
            filled = wanted
        for _ in range(REPEATS):
            yield _drain(stage, contender, variant, stage.sized(MESSAGES), clean=False)


def _drain(
    stage: Stage, contender: Contender, variant: str, count: int, *, clean: bool = True
) -> Measurement:
    job = stage.job(contender)
    values = drain(stage, contender, job, list(messages(count)), longest=LONGEST, clean=clean)
    return Measurement("W6", contender.about.name, values, variant)


W6: Final = Workload(
    name="W6",
    title="Growth",
    what="W1 with a backlog of 10,000 and of 500,000 in the queue, and with none, one and five million "
    "notifications and attempts in the ledger.",
    columns=RATE,
    measure=measure,
    only=frozenset({"Tidings", "bare loop"}),
)
