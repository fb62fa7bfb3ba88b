"""Closes connections in the background, each with QUIT, even if the send that opened it was cancelled.

A relay logs a client that disconnects without QUIT ("lost connection after CONNECT"), and may penalise it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidings.channels.email.connection import QUIT_TIMEOUT, SmtpConnection


class ClosingConnections:
    """Connections that are being closed in the background."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._quitting: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> bool:
        """Whether any connection is still being closed."""
        return bool(self._tasks)

    @property
    def quitting(self) -> int:
        """How many of them wait only for the reply to QUIT, and so will be closed in a moment."""
        return len(self._quitting)

    async def open(self, opening: Coroutine[Any, Any, SmtpConnection]) -> SmtpConnection:
        """Wait for a connection that is being opened.

        If this is cancelled, the opening gets some time to reach a point at which QUIT is allowed.
        """
        task = asyncio.create_task(opening)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            self._begin(_abandoned(task))
            raise
        return task.result()

    def close(self, connection: SmtpConnection) -> None:
        """Close a connection with QUIT, or at once if it can't be sent."""
        if connection.may_quit:
            self._begin(connection.quit(), quitting=connection.reusable)
        else:
            connection.abort()

    async def wait_for_any(self) -> None:
        """Wait until one of those that wait for the reply to QUIT is closed."""
        await asyncio.wait(self._quitting, return_when=asyncio.FIRST_COMPLETED)

    async def wait_for_all(self) -> None:
        """Wait until all are closed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, closing: Coroutine[Any, Any, None], *, quitting: bool = False) -> None:
        task = asyncio.create_task(closing)
        for tasks in (self._tasks, self._quitting) if quitting else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def _abandoned(opening: asyncio.Task[SmtpConnection]) -> None:
    """Finish and close a connection whose opening was cancelled; ignore its errors."""
    await asyncio.wait((opening,), timeout=QUIT_TIMEOUT)
    opening.cancel()
    await asyncio.wait((opening,))
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().quit()
