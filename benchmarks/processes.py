"""A contender's processes: started, weighed from /proc, and ended, children and all."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

TICKS: Final = os.sysconf("SC_CLK_TCK")
PATIENCE: Final = 20.0
"""Seconds a contender has for ending in good order."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Died(Exception):
    """A contender ended on its own; the message has the end of what it said."""


class Processes:
    """Some commands and all their children. Use it with `with`."""

    def __init__(self, commands: Sequence[Command], log: Path) -> None:
        """Starts nothing yet.

        Args:
            log: Where they write what they say.
        """
        self._commands = commands
        self._log = log
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            for command in self._commands:
                self._running.append(
                    subprocess.Popen(
                        list(command.arguments),
                        env={**_plain_environment(), **command.environment},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _name(self) -> str:
        return Path(self._commands[0].arguments[0]).name

    @property
    def pids(self) -> Sequence[int]:
        """Of the commands themselves."""
        return [process.pid for process in self._running]

    def check(self) -> None:
        """Raises Died where one has ended."""
        for process in self._running:
            if process.poll() is not None:
                end = self._log.read_text("utf-8", "replace")[-2000:]
                raise Died(f"{self._name} ended with {process.returncode}\n{end}")

    def cpu_seconds(self) -> float:
        """Time on a CPU since they started, of all that still run."""
        return sum(_cpu(pid) for pid in self._tree())

    def peak_memory(self) -> float:
        """Most resident memory, in MB: the sum over all that run."""
        return sum(_memory(pid, "VmHWM:") for pid in self._tree())

    def memory(self) -> float:
        """Resident memory now, in MB: the sum over all that run."""
        return sum(_memory(pid, "VmRSS:") for pid in self._tree())

    def count(self) -> int:
        """How many processes there are."""
        return len(list(self._tree()))

    def stop(self) -> None:
        """End them in good order, or else at once."""
        everyone = set(self._tree())
        for process in self._running:
            with suppress(ProcessLookupError):
                process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in self._running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        for pid in everyone:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._running:
            process.wait()
        self._running.clear()

    def _tree(self) -> Iterator[int]:
        waiting = [process.pid for process in self._running]
        while waiting:
            pid = waiting.pop()
            yield pid
            waiting.extend(_children(pid))


def machine_time() -> tuple[float, float]:
    """Seconds that all cores together were busy, and that have passed for them, since the start."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    times = [int(word) / TICKS for word in line.split()[1:9]]
    idle = times[3] + times[4]
    return sum(times) - idle, sum(times)


def _plain_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, path.read_text().split())


def _cpu(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / TICKS


def _memory(pid: int, which: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1024
    return 0.0
