"""Waits for PostgreSQL to come back: all dead letters at the same intervals, logged once."""

import asyncio

import structlog

from tidings.delivery.errors import TidingsError
from tidings.runtime.backoff import Backoff

log = structlog.get_logger(__name__)


class Outage:
    """Pauses that grow during an outage."""

    def __init__(self) -> None:
        self._backoff = Backoff(longest=5)
        self._pause: asyncio.Task[None] | None = None
        self.lasts = False
        """Whether the last statement failed."""

    async def wait(self, error: TidingsError) -> None:
        """Pause before the next attempt; all callers share a pause."""
        if not self.lasts:
            log.warning("archiving paused", error=str(error))
        self.lasts = True
        if self._pause is None or self._pause.done():
            self._pause = asyncio.create_task(asyncio.sleep(self._backoff.next()))
        await asyncio.shield(self._pause)

    def over(self) -> None:
        """A statement succeeded."""
        if self.lasts:
            log.info("archiving resumed")
        self.lasts = False
        self._backoff.reset()
