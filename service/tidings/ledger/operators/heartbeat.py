"""Heartbeat of this process, for `tidings ps` and `tidings doctor`."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Final

import structlog

from tidings.delivery.errors import TidingsError
from tidings.ledger.operators.processes import Process, Processes
from tidings.runtime.background import BackgroundTask

log = structlog.get_logger(__name__)

EVERY: Final = 10.0
"""Seconds between two beats."""
FAREWELL: Final = 2.0
"""Seconds to record that this process ends."""


@asynccontextmanager
async def beating(
    processes: Processes,
    actor: str,
    roles: Collection[str],
    channels: Sequence[str],
    templates: str,
    retention: Mapping[str, float] | None,
) -> AsyncIterator[None]:
    """Send heartbeats until the block is left, then record the end.

    Args:
        actor: This process's name, unlike any other's.
        channels: Those that its worker serves.
        templates: What the templates come to that it read.
        retention: Of a scheduler: for how long it keeps what has ended.
    """
    process = Process(
        actor,
        sorted(roles),
        socket.gethostname(),
        os.getpid(),
        version("tidings"),
        list(channels),
        templates,
        retention,
    )
    beat = BackgroundTask("heartbeat", lambda: _beat_for_ever(processes, process))
    try:
        yield
    finally:
        await beat.end()
        with suppress(TidingsError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await processes.end(actor)


async def _beat_for_ever(processes: Processes, process: Process) -> None:
    while True:
        try:
            await processes.say(process)
        except TidingsError as error:  # the worker logs the outage
            log.debug("heartbeat failed", error=str(error))
        await asyncio.sleep(EVERY)
