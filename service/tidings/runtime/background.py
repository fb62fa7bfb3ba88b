"""Background tasks, and how they are cancelled."""

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
"""Seconds after which a task that ignored its cancellation is cancelled again."""


class BackgroundTask:
    """A task that runs until it is ended; restarted if it fails.

    Args:
        name: Its name in the log.
        work: Starts it.
        longest_pause: Most seconds before it is restarted.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], longest_pause: float = 30
    ) -> None:
        self._name = name
        self._work = work
        self._longest_pause = longest_pause
        self._task = asyncio.create_task(self._run(), name=name)
        self.healthy = True
        """Whether it runs now; False while it waits to be restarted."""

    async def end(self) -> None:
        """Cancel it and wait for its end."""
        await end(self._task)

    async def _run(self) -> None:
        backoff = Backoff(self._longest_pause)
        loop = asyncio.get_running_loop()
        while True:
            self.healthy, began = True, loop.time()
            try:
                await self._work()
                if cancel_requested():
                    return
                log.error("background task ended: restarting", task=self._name)
            except (Exception, asyncio.CancelledError):
                if cancel_requested():
                    raise
                log.exception("unexpected error: background task restarting", task=self._name)
            self.healthy = False
            if loop.time() - began > self._longest_pause:
                backoff.reset()
            await asyncio.sleep(backoff.next())


def cancel_requested() -> bool:
    """Whether the current task itself was cancelled, and not only something it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, whatever its result.

    One cancellation may not be enough: if a connection breaks while a task closes it, the clients of RabbitMQ and
    PostgreSQL replace the cancellation by an error of their own, and a loop that retries continues.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_INSIST)
    await asyncio.gather(task, return_exceptions=True)


async def in_a_thread(name: str, work: Callable[[], Result]) -> Result:
    """Like `asyncio.to_thread`, in a daemon thread that doesn't delay the end of the process.

    Raises:
        RuntimeError: No thread can be started.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(report: Callable[[], None]) -> None:
        if not done.done():
            report()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  # raised by the `await` below
            report = partial(done.set_exception, error)
        else:
            report = partial(done.set_result, result)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, report)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
