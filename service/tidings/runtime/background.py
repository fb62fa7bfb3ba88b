"""Work that goes on in the background for ever, and how it is ended."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from tidings.runtime.backoff import Backoff

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_INSIST: Final = 5.0
"""Seconds after which a task that goes on is cancelled once more."""


class BackgroundTask:
    """Work that goes on until it is ended: begun again where an error ends it all the same.

    Args:
        name: What a log line calls it.
        work: Begins it.
        longest_rest: Seconds, at most, before it is begun again.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], longest_rest: float = 30
    ) -> None:
        self._name = name
        self._work = work
        self._longest_rest = longest_rest
        self._task = asyncio.create_task(self._go_on(), name=name)
        self.healthy = True
        """Whether it goes on at this moment."""

    async def end(self) -> None:
        """Cancel it until it has ended."""
        await end(self._task)

    async def _go_on(self) -> None:
        backoff = Backoff(self._longest_rest)
        loop = asyncio.get_running_loop()
        while True:
            self.healthy, began = True, loop.time()
            try:
                await self._work()
                if cancel_requested():
                    return
                log.error("ended by itself: begun again", chore=self._name)
            except (Exception, asyncio.CancelledError):
                if cancel_requested():
                    raise
                log.exception("unexpected error: begun again", chore=self._name)
            self.healthy = False
            if loop.time() - began > self._longest_rest:
                backoff.reset()
            await asyncio.sleep(backoff.next())


def cancel_requested() -> bool:
    """Whether the current task was cancelled; not so where only something that it waited for was."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, however it ended.

    Once may not do: where a connection breaks while a task leaves it, the clients of RabbitMQ and
    PostgreSQL raise an error of their own in place of the cancellation, and who retries goes on.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_INSIST)
    await asyncio.gather(task, return_exceptions=True)


async def in_a_thread(name: str, work: Callable[[], Result]) -> Result:
    """Like `asyncio.to_thread`, in a thread of its own that nobody waits for when the process ends.

    Raises:
        RuntimeError: No thread can be started.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(told: Callable[[], None]) -> None:
        if not done.done():
            told()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            told = partial(done.set_exception, error)
        else:
            told = partial(done.set_result, result)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, told)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
