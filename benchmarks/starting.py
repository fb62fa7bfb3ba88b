"""How much CPU a command takes to start: what a person waits for each time."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.targets import Verdict

LIMIT: Final = 0.35
"""Seconds of CPU, user's and system's."""
RUNS: Final = 5
COMMANDS: Final[Mapping[str, Sequence[str]]] = {
    "tidings --help": ("--help",),
    "tidings show ID": ("show", "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"),
}
"""Their names and arguments; no PostgreSQL answers, so that nothing but the start is measured."""


def starts() -> list[Verdict]:
    """Each command against the limit, by the best of its runs."""
    return [
        judged(name, min(_cpu(arguments) for _ in range(RUNS + 1)))
        for name, arguments in COMMANDS.items()
    ]


def judged(name: str, seconds: float) -> Verdict:
    """A command's start against the limit."""
    return Verdict("start", f"CPU of `{name}` ≤ {LIMIT} s", f"{seconds:.2f} s", 1 - seconds / LIMIT)


def _cpu(arguments: Sequence[str]) -> float:
    """Seconds of CPU of one run. The first may write bytecode, as an installation does."""
    variables = {
        "PATH": os.environ["PATH"],
        "TIDINGS_DATABASE_URL": "postgresql://127.0.0.1:1/tidings",
    }
    running = subprocess.Popen(
        [Path(sys.executable).with_name("tidings"), *arguments],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(running.pid, 0)
    return usage.ru_utime + usage.ru_stime
