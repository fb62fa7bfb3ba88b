"""Whatever a command prints arrives, however it is piped; where it can't, the command fails."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from time import sleep

import pytest

SIZE = 1_000_000
"""Bytes, a good deal more than a pipe holds."""

WAYS = {
    "bytes": f"sys.stdout.buffer.write(b'x' * {SIZE}); sys.stdout.buffer.flush()",
    "text": f"print_text('x' * ({SIZE} - 1))",
    "JSON": f"print_json('x' * ({SIZE} - 3))",
    "lines": f"out.print('x' * ({SIZE} - 1), soft_wrap=True)",
}
PROGRAM = """
import os, sys
from tidings.cli.console import out, print_json, print_text, run
from tidings.cli.entry import enter

async def work():
    pass

def command(*, standalone_mode):
    run(work())  # the loop of a command leaves signals behind that cut writes short
    {way}

enter(command)
"""


def started(way: str, stdout: int, *, unbuffered: bool) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    program = PROGRAM.format(way=textwrap.indent(WAYS[way], "    ").strip())
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=stdout, stderr=subprocess.PIPE, env=environment
    )


@pytest.mark.parametrize("unbuffered", [True, False], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize("way", WAYS)
def test_a_slow_reader_gets_all_of_it(way: str, *, blocking: bool, unbuffered: bool) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    process = started(way, writing, unbuffered=unbuffered)
    os.close(writing)
    got = os.read(reading, 10)
    sleep(0.1)  # for so long the pipe is full
    with process, os.fdopen(reading, "rb") as rest:
        got += rest.read()
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert len(got) == SIZE


@pytest.mark.parametrize("unbuffered", [True, False], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_an_error_in_a_sentence(way: str, *, unbuffered: bool) -> None:
    with Path("/dev/full").open("wb") as full:
        process = started(way, full.fileno(), unbuffered=unbuffered)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors == b"Error: standard output: No space left on device\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_that_has_seen_enough_is_no_reason_to_complain(way: str) -> None:
    process = started(way, subprocess.PIPE, unbuffered=True)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors == b""
