"""Keeps a few connections to the relay and lends them to one mail at a time, in the order asked."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from tidings.channels.email.connection import Connection, Progress, Stale

_T = TypeVar("_T")

IDLE: Final = 60.0
"""Seconds a connection may lie unused: relays and firewalls forget those that do, silently."""


class Closed(Exception):
    """The pool has been closed."""


class Pool:
    """At most `size` connections at once.

    Args:
        open_one: Opens a connection.
        mails: How many mails a connection carries before it is renewed.
        idle: Seconds it may lie unused before it is.
    """

    def __init__(
        self,
        open_one: Callable[[Progress], Awaitable[Connection]],
        *,
        size: int,
        mails: int,
        idle: float = IDLE,
    ) -> None:
        self._open = open_one
        self._turns = asyncio.Semaphore(size)
        self._mails = mails
        self._idle = idle
        self._kept: list[Connection] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def use(self, progress: Progress, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do something with a connection: the one used last, or a new one.

        Where the one used last turns out to have died meanwhile, it is done once more with a new
        one, without waiting for another turn.

        Raises:
            Closed: The pool has been closed.
        """
        async with self._turns:
            kept = self._take()
            if kept is not None:
                try:
                    return await self._lend(kept, work)
                except Stale:
                    pass
            if self._closed:
                raise Closed
            return await self._lend(await self._open(progress), work)

    async def close(self) -> None:
        """Take leave on every connection, and wait for those already leaving."""
        self._closed = True
        while self._kept:
            self._dismiss(self._kept.pop())
        await asyncio.gather(*self._leaving)

    async def _lend(
        self, connection: Connection, work: Callable[[Connection], Awaitable[_T]]
    ) -> _T:
        try:
            return await work(connection)
        finally:
            self._take_back(connection)

    def _take(self) -> Connection | None:
        """The connection used last, so that those not needed grow old and go."""
        now = monotonic()
        while self._kept:
            connection = self._kept.pop()
            if connection.fit and now - connection.last_used < self._idle:
                return connection
            self._dismiss(connection)
        return None

    def _take_back(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
        elif connection.fit and connection.mails < self._mails:
            connection.last_used = monotonic()
            self._kept.append(connection)
        else:
            self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        """Take leave in the background; at once of one that is in no state to answer."""
        if not connection.fit:
            connection.abort()
            return
        task = asyncio.create_task(connection.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
