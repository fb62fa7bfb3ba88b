"""Work that goes on in the background for ever: how long it waits between tries, and how it is ended."""

import asyncio
import random
from typing import Any, Final

_INSIST: Final = 5.0
"""Seconds after which a task that goes on is cancelled once more."""


class Backoff:
    """Waits that double up to a limit, each shortened at random so that workers don't knock together."""

    def __init__(self, longest: float, first: float = 0.25) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def reset(self) -> None:
        """It worked: start from the shortest wait next time."""
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        wait: float = min(self._longest, self._first * 2.0 ** min(self._tries, 20))
        self._tries += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, however it ended.

    Once may not do: where a connection breaks while a task leaves it, the clients of RabbitMQ and
    PostgreSQL raise an error of their own in place of the cancellation, and who retries goes on.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_INSIST)
    await asyncio.gather(task, return_exceptions=True)
