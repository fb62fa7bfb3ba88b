"""Which seeds the suite plays: 300, or those of `SIMULATION_SEEDS=first:count`."""

import os

from tests.simulation.run import simulate

CHUNKS = 20
FIRST, COUNT = (int(number) for number in os.environ.get("SIMULATION_SEEDS", "0:300").split(":"))


def chunk(number: int) -> range:
    """One of the parts into which the seeds are split, so that a failure comes soon."""
    size = -(-COUNT // CHUNKS)
    return range(FIRST + number * size, min(FIRST + COUNT, FIRST + (number + 1) * size))


def wrong(number: int) -> str:
    """Every report of a chunk that went wrong."""
    reports = (simulate(seed) for seed in chunk(number))
    return "\n\n".join(str(report) for report in reports if report.violations)
