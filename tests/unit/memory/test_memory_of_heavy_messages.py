"""However a message is made, reading it takes a bounded multiple of the largest one that is allowed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.heavy_bodies import COMMANDS, HEAVY

from tidings_events import MAX_BODY_BYTES

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024
NOISE = 1.0
"""MiB that an allocator may hold beyond what is used."""

MULTIPLES = {
    # A worker and an archive read one message after another, for others too.
    "worker": 3,
    "archive": 3,
    # A command reads one, and ends. It holds the text as it was, as it is laid out, and as it becomes.
    "show": 6,
    "edit": 12,
}


@pytest.mark.parametrize("operation", MULTIPLES)
def test_no_message_takes_more_memory_than_is_allowed_nor_seconds(operation: str) -> None:
    names = HEAVY if operation in {"worker", "archive"} else COMMANDS
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.peak_memory", operation, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    measured: dict[str, tuple[float, float] | None] = json.loads(ran.stdout)
    assert set(measured) == set(names)
    allowed = MULTIPLES[operation] * MAX_BODY_BYTES / MIB + NOISE
    beyond = {
        name: measurement
        for name, measurement in measured.items()
        if measurement is None or measurement[0] > allowed
    }
    assert not beyond, f"more than {allowed} MiB"
    slow = {
        name: measurement
        for name, measurement in measured.items()
        if measurement and measurement[1] > 10
    }
    assert not slow
