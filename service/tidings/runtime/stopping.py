"""Shutdown of a process: on a signal, within a time limit, whatever hangs."""

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
"""Seconds after the grace period for the last acks and for closing connections."""
LOG_DRAIN: Final = 0.5
"""Seconds for writing the log before the process ends immediately."""

Drain = Callable[[float], object]
"""Waits until the log is written, at most so many seconds."""


class Stop(asyncio.Event):
    """Set when this process has to end; `within` seconds later it has ended, whatever hangs.

    Unfinished messages are delivered again: RabbitMQ and the ledger know their progress.
    """

    def __init__(self, within: float, drain_log: Drain) -> None:
        super().__init__()
        self._within = within
        self._drain_log = drain_log

    def set(self) -> None:
        """Start the shutdown."""
        if self.is_set():
            return
        super().set()
        # A thread, as the event loop may hang.
        overdue = Timer(self._within, self._overdue)
        overdue.daemon = True
        try:
            overdue.start()
        except RuntimeError as error:  # without the timer it still ends, if nothing hangs
            log.warning("shutdown timer not started", error=str(error))

    def end_at_once(self, code: int) -> NoReturn:
        """End immediately."""
        self._drain_log(LOG_DRAIN)
        os._exit(code)

    def _overdue(self) -> None:
        log.error(
            "shutdown timed out: ending now",
            seconds=self._within,
        )
        self.end_at_once(1)


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT end this process gracefully; a second one ends it immediately.

    So does SIGHUP, of a closed terminal, unless this process ignores it (`nohup`).
    """
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def ask(number: int) -> None:
        if stop.is_set() and number == signal.SIGHUP:
            return  # a closed terminal may send three: kernel, shell, kernel again
        if stop.is_set():
            log.warning("second signal: ending now", signal=signal.Signals(number).name)
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
