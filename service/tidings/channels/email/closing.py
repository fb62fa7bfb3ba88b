"""Connections on their way out: each takes leave of the relay, also one that nobody waits for any more.

A relay notes a client that hangs up in the middle ("lost connection after CONNECT"), and may hold it against us.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tidings.channels.email.connection import FAREWELL, Connection


class Farewells:
    """Those under way, in the background."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._prompt: set[asyncio.Task[None]] = set()

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return bool(self._tasks)

    @property
    def prompt(self) -> int:
        """How many of them will be over in a moment: nothing is outstanding there but the answer to QUIT."""
        return len(self._prompt)

    async def opened(self, opening: Coroutine[Any, Any, Connection]) -> Connection:
        """The connection that is being opened.

        Where this is cancelled, the opening has a while left to reach a point at which leave can be taken.
        """
        task = asyncio.create_task(opening)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            self._begin(_abandoned(task))
            raise
        return task.result()

    def dismiss(self, connection: Connection) -> None:
        """Take leave on a connection; at once of one that would not understand it."""
        if connection.may_quit:
            self._begin(connection.quit(), prompt=connection.fit)
        else:
            connection.abort()

    async def one(self) -> None:
        """Wait until one of the prompt ones is over."""
        await asyncio.wait(self._prompt, return_when=asyncio.FIRST_COMPLETED)

    async def all(self) -> None:
        """Wait until all are over."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, farewell: Coroutine[Any, Any, None], *, prompt: bool = False) -> None:
        task = asyncio.create_task(farewell)
        for tasks in (self._tasks, self._prompt) if prompt else (self._tasks,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def _abandoned(opening: asyncio.Task[Connection]) -> None:
    """An opening that was given up; what it fails of now concerns nobody."""
    await asyncio.wait((opening,), timeout=FAREWELL)
    opening.cancel()
    await asyncio.wait((opening,))
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().quit()
