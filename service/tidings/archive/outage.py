"""Waits out an outage of PostgreSQL: everybody together, in one rhythm, told once."""

import asyncio

import structlog

from tidings.delivery.errors import TidingsError
from tidings.runtime.backoff import Backoff

log = structlog.get_logger(__name__)


class Outage:
    """Pauses that grow while it lasts."""

    def __init__(self) -> None:
        self._backoff = Backoff(longest=5)
        self._pause: asyncio.Task[None] | None = None
        self.lasts = False
        """Whether the last statement failed."""

    async def wait(self, error: TidingsError) -> None:
        """Pause before the next try; who comes while others pause, pauses with them."""
        if not self.lasts:
            log.warning("dead letters wait in their queue", error=str(error))
        self.lasts = True
        if self._pause is None or self._pause.done():
            self._pause = asyncio.create_task(asyncio.sleep(self._backoff.next()))
        await asyncio.shield(self._pause)

    def over(self) -> None:
        """Something succeeded."""
        if self.lasts:
            log.info("dead letters are archived again")
        self.lasts = False
        self._backoff.reset()
