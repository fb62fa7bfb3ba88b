"""Extends the lease on outbox entries while they are published, so that no other process publishes them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from tidings.delivery.errors import TidingsError
from tidings.ledger.notifications.dispatch import LEASE, Outbox, OutboxEntry
from tidings.runtime.background import BackgroundTask

log = structlog.get_logger(__name__)


@asynccontextmanager
async def keep_leased(outbox: Outbox, taken: Sequence[OutboxEntry]) -> AsyncIterator[None]:
    """Keep these leased while the block runs. A process that dies in it keeps them no longer than `LEASE`."""

    async def keep_for_ever() -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                await outbox.keep(taken)
            except TidingsError as error:  # another process can't take them either
                log.warning("outbox lease not extended", error=str(error))

    task = BackgroundTask("extend outbox lease", keep_for_ever)
    try:
        yield
    finally:
        await task.end()
