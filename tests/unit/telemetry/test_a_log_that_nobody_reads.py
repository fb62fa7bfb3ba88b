"""Standard error of a process that delivers: a log that is full, closed or not read costs lines and nothing else."""

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
import structlog
from tests.unit.telemetry.logging_put_back import logging_put_back

from tidings.telemetry.log_writer import (
    MOST_HELD,
    NOT_READ,
    NOT_RENDERED,
    NOT_WRITTEN,
    DroppedLines,
    LogWriter,
)
from tidings.telemetry.logs import configure
from tidings.telemetry.metrics import Metrics

SOON = 10.0
LINE = "x" * 99 + "\n"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    with logging_put_back():
        yield


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A reading and a writing end; the reading end is the test's to close."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def read_until(reading: int, end: bytes) -> bytes:
    found = b""
    while end not in found:
        found += os.read(reading, 1 << 20)
    return found


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = LogWriter(writing, DroppedLines())
    wanted = [f"line {number}\n" for number in range(2_000)]
    for line in wanted:
        writer.write(line)
    assert writer.drain(SOON)
    assert os.read(reading, 1 << 20).decode() == "".join(wanted)
    assert not any(writer.dropped.counts.values())


def test_a_reader_that_stops_reading_blocks_nobody_and_what_is_lost_is_counted(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    writer = LogWriter(writing, DroppedLines())
    lines = 2 * MOST_HELD // len(LINE)
    started = monotonic()
    for _ in range(lines):
        writer.write(LINE)
    assert monotonic() - started < SOON
    assert not writer.drain(0.05)
    dropped = writer.dropped.counts[NOT_READ]
    assert 0.4 * lines < dropped < 0.6 * lines
    configure("info", "json", writer)
    writer.write("last\n")  # too much waits: dropped as well
    found = read_until(reading, b"log lines dropped")  # it reads again
    assert found.count(b"\n") >= lines - dropped
    assert b"has stopped reading" in found
    assert b"last" not in found


@pytest.mark.parametrize("where", ["a closed pipe", "a full disk", "nowhere"])
def test_what_cannot_be_written_is_dropped_and_counted(where: str) -> None:
    descriptor: int | None = None
    if where == "a closed pipe":
        reading, descriptor = os.pipe()
        os.close(reading)
    elif where == "a full disk":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(descriptor, DroppedLines())
    writer.write("one\ntwo\n")
    assert writer.drain(SOON)
    assert writer.dropped.counts == {NOT_READ: 0, NOT_WRITTEN: 2, NOT_RENDERED: 0}


def test_a_line_after_one_that_was_cut_off_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond a limit: as on a disk that is full for a while."""
    log = tmp_path / "log"
    program = f"""
        import os, resource, signal
        from tidings.telemetry.log_writer import DroppedLines, LogWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = LogWriter(os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT), DroppedLines())
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, -1))
        writer.write({LINE!r} * 3)
        writer.drain(10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        writer.write("there is room again\\n")
        writer.drain(10)
        print(writer.dropped.counts["not_written"])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.endswith("\n2\n")  # after what it says of them itself
    assert log.read_text() == LINE + LINE[:50] + "\nthere is room again\n"


def test_a_value_that_cannot_be_shown_costs_its_line_and_nothing_else(
    pipe: tuple[int, int],
) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

        __str__ = __repr__

    reading, writing = pipe
    writer = LogWriter(writing, DroppedLines())
    for form in ("json", "console"):
        configure("info", form, writer, writer.dropped)
        structlog.get_logger().info("odd", value=Broken())
        logging.getLogger("library").warning("odd %s", Broken())
        logging.getLogger("aiormq").warning(Broken(), Broken())
    structlog.get_logger().info("well")
    assert writer.drain(SOON)
    assert b"well" in os.read(reading, 1 << 20)
    assert writer.dropped.counts == {NOT_READ: 0, NOT_WRITTEN: 0, NOT_RENDERED: 6}


def test_dropped_lines_are_a_metric_that_is_there_from_the_start() -> None:
    dropped = DroppedLines()
    metrics = Metrics(dropped)
    assert b'tidings_log_lines_dropped_total{reason="not_read"} 0.0' in metrics.render()
    dropped.add(NOT_READ, 3)
    assert b'tidings_log_lines_dropped_total{reason="not_read"} 3.0' in metrics.render()


ENDINGS = {
    "an error": ("raise SystemError('the end')", "SystemError: the end"),
    "a warning": ("import warnings; warnings.warn('careful')", "careful"),
    "a task's error": (
        "import asyncio\nasyncio.run(asyncio.sleep(0))\n"
        "asyncio.new_event_loop().call_exception_handler({'message': 'lost'})",
        "lost",
    ),
    "a thread's error": (
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()",
        "ZeroDivisionError",
    ),
}


def ending_like(program: str, lines: int) -> "subprocess.Popen[bytes]":
    before = f"""
        import logging
        from tidings.telemetry.log_writer import take_over_standard_error
        from tidings.telemetry.logs import configure
        writer = take_over_standard_error()
        configure("info", "json", dropped=writer.dropped)
        for _ in range({lines}):
            logging.getLogger("chatty").warning("y" * 100)
    """
    program = textwrap.dedent(before) + program
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_a_process_says_goes_through_it_and_its_last_words_come_out(ending: str) -> None:
    program, expected = ENDINGS[ending]
    with ending_like(program, lines=0) as process:
        assert expected in process.communicate()[1].decode()
    assert process.returncode == (1 if ending == "an error" else 0)


def test_a_process_whose_log_nobody_reads_ends_all_the_same() -> None:
    with ending_like(ENDINGS["an error"][0], lines=3_000) as process:
        assert process.wait(timeout=30) == 1
