"""Extends the lease on what is taken of the outbox while it is published, so that no other process publishes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from tidings.delivery.errors import TidingsError
from tidings.ledger.notifications.dispatch import LEASE
from tidings.runtime.background import BackgroundTask

log = structlog.get_logger(__name__)


@asynccontextmanager
async def keep_leased(keep: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keep entries leased while the block runs. A process that dies in it has them no longer than `LEASE`.

    Args:
        keep: Extends their lease by `LEASE`.
    """

    async def keep_for_ever() -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                await keep()
            except TidingsError as error:  # another process can't take them either
                log.warning("outbox lease not extended", error=str(error))

    task = BackgroundTask("extend outbox lease", keep_for_ever)
    try:
        yield
    finally:
        await task.end()
