"""Holds what was taken from the outbox while it is published, so that nobody else publishes it too."""

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
    """Keep these for as long as the block lasts. Whoever dies in it holds nothing for longer than `LEASE`."""

    async def keep_for_ever() -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            try:
                await outbox.keep(taken)
            except TidingsError as error:  # nobody else gets at them either
                log.warning("what is being published can't be held", error=str(error))

    task = BackgroundTask("hold what is being published", keep_for_ever)
    try:
        yield
    finally:
        await task.end()
