"""Whoever reads a role's log goes away, stops reading or has no room: what is to be delivered is delivered."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.test_worker_process import publish, states
from tests.support.forked import tidings
from tests.support.processes import Role, running
from tests.support.smtp_sink import SmtpSink
from tests.support.worker_rig import eventually

PIPE_SIZE = 4096


@contextmanager
def nobody_reads() -> Iterator[tuple[int, Callable[[], None]]]:
    """A small pipe that is full after a dozen lines."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    try:
        yield writing, lambda: None
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def reader_dies() -> Iterator[tuple[int, Callable[[], None]]]:
    """A pipe whose reader is gone from some moment on."""
    reading, writing = os.pipe()
    try:
        yield writing, lambda: os.close(reading)
    finally:
        os.close(writing)


@contextmanager
def disk_is_full() -> Iterator[tuple[int, Callable[[], None]]]:
    """No line can be written."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        yield full, lambda: None
    finally:
        os.close(full)


async def dropped(role: Role) -> float:
    metrics = await asyncio.to_thread(role.get, "/metrics")
    lines = [line for line in metrics.splitlines() if line.startswith("tidings_log_lines_dropped")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize("trouble", [nobody_reads, reader_dies, disk_is_full])
async def test_messages_are_settled_and_the_process_ends_when_told(
    env: dict[str, str], sink: SmtpSink, tmp_path: Path, trouble: Callable[[], "contextmanager"]
) -> None:
    assert (await tidings("topology", "apply", env=env)).code == 0
    chatty = {**env, "TIDINGS_LOG_LEVEL": "debug"}
    with trouble() as (stderr, begins):
        async with running(
            "all", env=chatty, log=tmp_path / "out", stderr=stderr, installed=True
        ) as role:
            begins()
            await publish(env, 30)
            await eventually(lambda: len(sink.taken) == 30, within=30)
            sink.refuse = b"550 5.1.1 no such user"  # each of these becomes a dead letter
            await publish(env, 30)

            async def settled() -> bool:
                return await states(env) == {"sent": 30, "failed": 30}

            await eventually(settled, within=30)
            await eventually(lambda: archived(env, 30), within=30)
            if (
                trouble is not nobody_reads
            ):  # so much is held for a slow one, and nothing is dropped yet
                assert await dropped(role) > 0
            role.signal(signal.SIGTERM)
            assert await role.ended(within=20) == 0


async def archived(env: dict[str, str], count: int) -> bool:
    listed = await tidings("dead", "list", "--json", "--limit", "100", env=env)
    return listed.out.count('"reason": "rejected"') == count
