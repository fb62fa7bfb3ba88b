"""A process that was told to end has ended in time, whatever hangs."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer
from time import monotonic

import pytest

from tidings.runtime.stopping import Stop

HANGS = {
    "the event loop": "time.sleep(60)",
    "a task that can't be cancelled": "await asyncio.gather(*(deaf() for _ in range(2)))",
    "a thread": "await asyncio.to_thread(time.sleep, 60)",
}


@pytest.mark.parametrize("what", HANGS)
def test_what_hangs_is_left_behind_when_its_time_is_up(what: str) -> None:
    program = f"""
        import asyncio, os, signal, time
        from tidings.runtime.stopping import Stop, stop_on_signal
        from tidings.telemetry.log_writer import take_over_standard_error
        from tidings.telemetry.logs import configure

        async def deaf():
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass

        async def main(writer):
            stop = Stop(0.3, writer.drain)
            with stop_on_signal(stop):
                os.kill(os.getpid(), signal.SIGTERM)
                await stop.wait()
                {HANGS[what]}

        writer = take_over_standard_error()
        configure("info", "json", dropped=writer.dropped)
        asyncio.run(main(writer))
    """
    started = monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 1
    assert b"ending now" in ran.stderr
    assert monotonic() - started < 20


def test_a_process_that_can_start_no_thread_is_told_to_end_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(_: Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Timer, "start", none_left)
    stop = Stop(60, lambda _: None)
    stop.set()
    assert stop.is_set()


ENDS_IN_GOOD_ORDER = """
import asyncio, sys, structlog
from tidings.runtime.stopping import Stop, stop_on_signal

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    stop = Stop(60, lambda _: None)
    with stop_on_signal(stop):
        print("ready", flush=True)
        await stop.wait()
        print("finishing", flush=True)
        await asyncio.to_thread(input)
    print("in good order", flush=True)

asyncio.run(main())
"""
HEEDED = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
IGNORED = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def running(before: Callable[[], object]) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(
        [sys.executable, "-c", ENDS_IN_GOOD_ORDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=before,  # no threads here
    ) as process:
        assert next_line(process) == b"ready\n"
        yield process


def next_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_process_that_is_told_to_end_or_loses_its_terminal_ends_in_good_order(
    number: signal.Signals,
) -> None:
    with running(HEEDED) as process:
        process.send_signal(number)
        assert next_line(process) == b"finishing\n"
        process.send_signal(signal.SIGHUP)  # of a closed terminal there may be several
        output, _ = process.communicate(b"\n", timeout=30)
    assert (process.returncode, output) == (0, b"in good order\n")


def test_a_process_that_was_to_outlive_its_terminal_does() -> None:
    with running(IGNORED) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert next_line(process) == b"finishing\n"
        process.communicate(b"\n", timeout=30)
    assert process.returncode == 0
