"""`python -m benchmarks.tuning`: W1 with every shape that a contender's file names, to choose the best of them."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import relays
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.base import ROOT, Contender, Shape
from benchmarks.drain import drain
from benchmarks.messages import messages
from benchmarks.results import Summary, summary
from benchmarks.servers import Servers
from benchmarks.stage import Stage
from benchmarks.workloads.w1_no_op import LONGEST, MESSAGES


def main() -> None:
    """Measures and shows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__)
    parser.add_argument("--contenders", default="", help='e.g. "Celery,Dramatiq"; all where empty')
    parser.add_argument("--scale", type=float, default=0.3)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT / ".local" / "bench")
    options = parser.parse_args()
    wanted = [name.strip() for name in options.contenders.split(",") if name.strip()]
    chosen = [contender for contender in CONTENDERS if not wanted or contender.about.name in wanted]
    table = Table("contender", "processes × at once", "messages/s", "± %")
    with Servers(options.data / "servers") as servers:
        sink = relays.own(None)
        stage = Stage(servers, options.scale, options.data / "logs", print, sink, time.monotonic())
        for contender in chosen:
            for shape, rate in _rates(stage, contender, options.repeats):
                table.add_row(
                    contender.about.name, str(shape), f"{rate.median:,.0f}", f"{rate.spread:.0%}"
                )
    Console().print(table)


def _rates(stage: Stage, contender: Contender, repeats: int) -> Iterator[tuple[Shape, Summary]]:
    """Interleaved, like everything."""
    found: dict[Shape, list[float]] = {shape: [] for shape in contender.about.tried}
    for _ in range(repeats):
        for shape, rates in found.items():
            rates.append(_rate(stage, contender, shape))
            print(f"{contender.about.name} {shape}: {rates[-1]:,.0f}/s")
    for shape, rates in found.items():
        yield shape, summary(rates)


def _rate(stage: Stage, contender: Contender, shape: Shape) -> float:
    waiting = list(messages(stage.sized(MESSAGES)))
    job = stage.job(contender, shape=shape)
    return drain(stage, contender, job, waiting, longest=LONGEST)["rate"]


if __name__ == "__main__":
    main()
