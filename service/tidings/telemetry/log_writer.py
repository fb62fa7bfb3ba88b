"""Standard error of a process that delivers, written by a thread of its own, so that logging neither blocks nor raises.

A pipe blocks if its reader has stopped reading, and a closed pipe or a full disk raises. Between the record of a send
and its ack, either would cost more than the lost line.
"""

import atexit
import os
import select
import sys
from collections import Counter
from collections.abc import Mapping
from io import TextIOBase
from queue import Empty, SimpleQueue
from threading import Event, RLock, Thread
from time import monotonic, sleep
from types import MappingProxyType
from typing import Final

import structlog

log = structlog.get_logger(__name__)

MOST_HELD: Final = 4 * 1024 * 1024
"""Most characters that wait to be written; further lines are dropped."""
MOST_AT_ONCE: Final = 64 * 1024
"""Characters in one write: the size of a pipe."""
PAUSE: Final = 0.005
"""Seconds between two writes. Waking a thread costs more than a line, so under load many are written together."""
LAST_WORDS: Final = 2.0
"""Seconds that an ending process waits for its last lines to be written."""
REPORT_EVERY: Final = 10.0
"""Seconds between two log lines about dropped lines."""

NOT_READ: Final = "not_read"
NOT_WRITTEN: Final = "not_written"
NOT_RENDERED: Final = "not_rendered"
REASONS: Final = MappingProxyType(
    {
        NOT_READ: "the reader of the log is too slow, or has stopped reading",
        NOT_WRITTEN: "writing failed: the pipe is closed, or the disk is full",
        NOT_RENDERED: "a value in the line could not be rendered",
    }
)
"""Why lines are dropped."""


class DroppedLines:
    """Counts dropped log lines by reason. For any thread."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._counts = Counter(dict.fromkeys(REASONS, 0))

    def add(self, reason: str, lines: int = 1) -> None:
        """Count some more."""
        with self._lock:
            self._counts[reason] += lines

    @property
    def counts(self) -> Mapping[str, int]:
        """Lines by each of `REASONS`."""
        with self._lock:
            return dict(self._counts)


class LogWriter(TextIOBase):
    """A text stream whose `write` only queues: in order, bounded, never waiting.

    Args:
        descriptor: The thread's output; None if standard error is closed.
        dropped: Counts dropped lines.
    """

    def __init__(self, descriptor: int | None, dropped: DroppedLines) -> None:
        self._descriptor = descriptor
        self.dropped: Final = dropped
        self._queue: SimpleQueue[str | Event] = SimpleQueue()
        # Reentrant, as the queue is: the garbage collector may run a finalizer that logs at any point.
        self._lock = RLock()
        self._held = 0
        self._torn = False
        self._reported: Mapping[str, int] = dropped.counts
        self._reported_at = monotonic() - REPORT_EVERY
        Thread(target=self._write_for_ever, name="log", daemon=True).start()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of a stream that knows its encoding
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # as above
        return "backslashreplace"

    def fileno(self) -> int:
        if self._descriptor is None:
            raise OSError("standard error is closed")
        return self._descriptor

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Queue it, or drop and count it if too much is waiting."""
        size = len(text)
        with self._lock:
            if self._held + size > MOST_HELD:
                self.dropped.add(NOT_READ, text.count("\n"))
                return size
            self._held += size
        self._queue.put(text)
        return size

    def flush(self) -> None:
        """Does nothing: logging must not wait. `drain` does."""

    def drain(self, seconds: float) -> bool:
        """Wait until everything queued is written; whether that took less than `seconds`."""
        written = Event()
        self._queue.put(written)
        return written.wait(seconds)

    def _write_for_ever(self) -> None:
        while True:
            texts, waiting = self._take()
            if texts:
                self._write_out("".join(texts))
            for event in waiting:
                event.set()
            if not waiting:
                sleep(PAUSE)

    def _take(self) -> tuple[list[str], list[Event]]:
        """The next texts, waited for, and the events of `drain` to set after them."""
        texts: list[str] = []
        item, size = self._queue.get(), 0
        while isinstance(item, str):
            texts.append(item)
            size += len(item)
            if size >= MOST_AT_ONCE:
                return texts, []
            try:
                item = self._queue.get_nowait()
            except Empty:
                return texts, []
        return texts, [item]

    def _write_out(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        left = self._written(b"\n" + data if self._torn else data)
        with self._lock:
            self._held -= len(text)
        if left:
            self._torn = self._torn if len(left) >= len(data) else data[-len(left) - 1] != 0x0A
            self.dropped.add(NOT_WRITTEN, left.count(b"\n"))
        else:
            self._torn = False
            self._report_dropped()

    def _written(self, data: bytes) -> bytes:
        """Write; returns the rest that could not be written."""
        if self._descriptor is None:
            return data
        at = 0
        while at < len(data):
            try:
                at += os.write(self._descriptor, data[at:])
            except BlockingIOError:  # another process that shares the pipe made it non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:
                break
        return data[at:]

    def _report_dropped(self) -> None:
        """Writing works again: log how many lines were dropped."""
        counts = self.dropped.counts
        if counts != self._reported and monotonic() - self._reported_at > REPORT_EVERY:
            before, self._reported, self._reported_at = self._reported, counts, monotonic()
            for reason, count in counts.items():
                if lines := count - before[reason]:
                    log.warning("log lines dropped", lines=lines, reason=REASONS[reason])


def take_over_standard_error() -> LogWriter:
    """Make `sys.stderr`, where logs, warnings and tracebacks go, a `LogWriter` for the rest of this process."""
    writer = LogWriter(_descriptor(), DroppedLines())
    sys.stderr = writer
    atexit.register(writer.drain, LAST_WORDS)
    return writer


def _descriptor() -> int | None:
    """A duplicate of standard error's descriptor, which is not closed or reused elsewhere."""
    try:
        return os.dup(sys.stderr.fileno())
    except (
        AttributeError,
        OSError,
    ):  # started with standard error closed: there is no `sys.stderr`
        return None
