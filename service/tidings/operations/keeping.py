"""Keeps what a process has in memory as it is in PostgreSQL: read again as soon as it changes, and now and then in any case."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from tidings.delivery.errors import TidingsError

EVERY: Final = 5.0
"""Seconds after which all is read again in any case: a pooler or a cut connection may lose a NOTIFY."""
PAUSE: Final = 1.0
"""Seconds after an attempt that failed."""


class Kept(Protocol):
    """Something in memory that is stored in PostgreSQL."""

    async def refresh(self) -> None:
        """Read it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        ...

    def missed(self, error: TidingsError) -> None:
        """It could not be read."""
        ...


class Keeping:
    """Keeps several things with one connection that listens.

    Args:
        changes: Sets an event when one of them changes; like `Database.listening`.
        kept: All of them.
    """

    def __init__(
        self,
        changes: Callable[[asyncio.Event], AbstractAsyncContextManager[Callable[[], bool]]],
        *kept: Kept,
    ) -> None:
        self._changes = changes
        self._kept = kept

    async def keep_for_ever(self) -> None:
        """Read them, and again whenever one changes, until cancelled."""
        wake = asyncio.Event()
        while True:
            try:
                async with self._changes(wake) as listening:
                    while listening():
                        wake.clear()
                        await self._refresh()
                        await _set_within(wake, EVERY)
            except TidingsError as error:
                self._missed(error)
            try:
                await self._refresh()  # a pooler may have no session to listen in
            except TidingsError as error:
                self._missed(error)
            await asyncio.sleep(PAUSE)

    async def _refresh(self) -> None:
        for each in self._kept:
            await each.refresh()

    def _missed(self, error: TidingsError) -> None:
        for each in self._kept:
            each.missed(error)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
