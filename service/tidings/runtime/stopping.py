"""How a process ends: when it is told to, within its time, whatever hangs."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final, NoReturn

import structlog

log = structlog.get_logger(__name__)

AFTER_GRACE: Final = 10.0
"""Seconds beyond the grace period for what follows it: last acks, and goodbyes to the servers."""
LAST_WORDS: Final = 0.5
"""Seconds that the log is given before a process ends itself at once."""

Drain = Callable[[float], object]
"""Waits at most so many seconds until everything that was logged is written."""


class Stop(asyncio.Event):
    """Set once this process is to end; it has ended `within` seconds from then, one way or another.

    What it had begun by then is delivered again: RabbitMQ and the ledger know how far it came.
    """

    def __init__(self, within: float, drain_log: Drain) -> None:
        super().__init__()
        self._within = within
        self._drain_log = drain_log

    def set(self) -> None:
        """End."""
        if self.is_set():
            return
        super().set()
        # A thread: what hangs may be the event loop.
        overdue = Timer(self._within, self._overdue)
        overdue.daemon = True
        try:
            overdue.start()
        except RuntimeError as error:  # it ends all the same, if nothing hangs
            log.warning("nothing watches that this process ends in time", error=str(error))

    def end_at_once(self, code: int) -> NoReturn:
        """End without waiting for anything."""
        self._drain_log(LAST_WORDS)
        os._exit(code)

    def _overdue(self) -> None:
        log.error(
            "still not ended: ending at once, and what is unfinished is delivered again",
            seconds=self._within,
        )
        self.end_at_once(1)


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT end this process in good order; a second one ends it at once.

    So does SIGHUP, that of a terminal that is closed, but where this process was told to ignore it (`nohup`).
    """
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def ask(number: int) -> None:
        if stop.is_set() and number == signal.SIGHUP:
            return  # of a closed terminal there may be three: the kernel's, the shell's, the kernel's again
        if stop.is_set():
            log.warning("second signal: ending at once", signal=signal.Signals(number).name)
            stop.end_at_once(128 + number)
        stop.set()
        log.info("stopping", signal=signal.Signals(number).name)

    for number in numbers:
        loop.add_signal_handler(number, ask, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
