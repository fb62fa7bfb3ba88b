"""What happened, a line each, with its time; the same for the same seed, on any machine."""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from hashlib import sha256
from logging import CRITICAL, DEBUG
from typing import Any

import structlog
from tests.doubles.loop import PROCESS


class Trace:
    """Lines of a simulation, in the order in which things happened."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.logged: list[tuple[int, str]] = []
        """Log lines, each with the number of lines before it."""
        self.time: Callable[[], float] = float

    def tell(self, line: str) -> None:
        """Add a line."""
        process = PROCESS.get()
        self.lines.append(f"{self.time():9.3f}  {process.name if process else '-':<12} {line}")

    def fingerprint(self, steps: int) -> str:
        """The same for two runs only if they are equal."""
        return sha256("\n".join([*self.lines, str(steps)]).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        whole: list[str] = []
        logged = iter([*self.logged, (sys.maxsize, "")])
        place, line = next(logged)
        for number, happened in enumerate(self.lines):
            while place <= number:
                whole.append(line)
                place, line = next(logged)
            whole.append(happened)
        return "\n".join([*whole, *([line] if line else []), *(line for _, line in logged if line)])

    @contextmanager
    def logging(self, *, aloud: bool) -> Iterator[None]:
        """Drop the code's log lines, or keep them in the trace."""
        before = structlog.get_config()
        structlog.configure(
            processors=[self._hear] if aloud else [_drop],
            wrapper_class=structlog.make_filtering_bound_logger(DEBUG if aloud else CRITICAL),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _hear(self, _: object, level: str, event: MutableMapping[str, Any]) -> str:
        process = PROCESS.get()
        fields = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
        who = process.name if process else "-"
        self.logged.append(
            (
                len(self.lines),
                f"{self.time():9.3f}  {who:<12} log {level}: {event['event']} {fields}",
            )
        )
        raise structlog.DropEvent


def _drop(_: object, __: str, ___: MutableMapping[str, Any]) -> str:
    raise structlog.DropEvent
