"""`python -m benchmarks.profiling`: where Tidings' worker spends its time in W1 or W2, by sampling its stacks."""

import argparse
import subprocess
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import relays
from benchmarks.contenders.base import PEERS_BIN, ROOT, Job
from benchmarks.contenders.tidings import Tidings
from benchmarks.messages import messages
from benchmarks.servers import Servers
from benchmarks.stage import READY_WITHIN, Stage, preload, wait_for

MESSAGES = 60_000
SHOWN = 40


def main() -> None:
    """Samples, and shows which functions and which lines of ours the time went to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument("--mail", action="store_true", help="W2 instead of W1")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--native", action="store_true", help="see into C extensions too")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--data", type=Path, default=ROOT / ".local" / "bench")
    options = parser.parse_args()
    sink = relays.find(options.data / "smtp-sink")
    with Servers(options.data / "servers") as servers:
        stage = Stage(servers, options.scale, options.data / "logs", print, sink, time.monotonic())
        stacks = options.data / "stacks.txt"
        if options.mail:
            with stage.relay() as port:
                _sample(stage, options, stacks, stage.job(Tidings(), smtp_port=port))
        else:
            _sample(stage, options, stacks, stage.job(Tidings()))
    _show(stacks)


def _sample(stage: Stage, options: argparse.Namespace, stacks: Path, job: Job) -> None:
    contender = Tidings()
    with stage.prepared(contender, job) as wire:
        waiting = messages(stage.sized(MESSAGES), templated=options.mail)
        total = preload(wire, contender, waiting)
        with stage.running(contender, job) as processes:
            lane = contender.queue("normal")
            wait_for(lambda: wire.depth(lane) < total * 0.95, processes, READY_WITHIN, "draining")
            command = [
                *(
                    str(PEERS_BIN / "py-spy"),
                    "record",
                    "--format",
                    "raw",
                    "--function",
                    "--rate",
                    "500",
                ),
                *("--duration", str(options.seconds), "--output", str(stacks)),
                *("--pid", str(processes.pids[0]), *(["--native"] if options.native else [])),
            ]
            subprocess.run(command, check=True, capture_output=True)
            if wire.depth(lane) == 0:
                print("the queue was empty before sampling ended: use fewer --seconds")


def _show(stacks: Path) -> None:
    own, within, total = Counter[str](), Counter[str](), 0
    for line in stacks.read_text("utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        total += int(count)
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    for title, counts in (("in the function itself", own), ("in it and what it calls", within)):
        table = Table("share", "function", title=title)
        for name, times in counts.most_common(SHOWN):
            table.add_row(f"{times / total:.1%}", name)
        Console().print(table)
    print(f"stacks: {stacks}")


if __name__ == "__main__":
    main()
