"""The producer's line to the broker: opened when first needed, and opened again whenever it is lost.

Deliberately not `connect_robust`: that retries one URL at a fixed pace and never says why.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ssl import SSLCertVerificationError, SSLContext
from typing import cast

import aiormq
from yarl import URL

from tidings_events.errors import Unreachable

HEARTBEAT_SECONDS = 15
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_CLOSING_TIME = 2.0
_RENEWED = 1.0
_RETIRED = 60.0
"""Seconds that a channel goes on answering for what was published on it, once it is replaced."""
_REFUSALS = (OSError, aiormq.AMQPError, EOFError, RuntimeError, StopAsyncIteration)
"""What aiormq raises where a broker cannot be reached, or will not have us."""


class Link:
    """A connection and its one confirming channel, to whichever of several brokers answers."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        name: str,
        attempt_timeout: float,
        ssl_context: SSLContext | None,
    ) -> None:
        self._urls = tuple(_checked(url) for url in urls)
        if not self._urls:
            raise ValueError("no broker URL; give at least one, e.g. amqp://localhost")
        self._name = name
        self._attempt_timeout = attempt_timeout
        self._ssl_context = ssl_context
        self._connection: aiormq.Connection | None = None
        self._channel: aiormq.Channel | None = None
        self._opened_at = 0.0
        self._retired: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._in_flight: dict[asyncio.Timeout, aiormq.Channel] = {}
        self._closed = False
        self.trouble = ""
        """Why there is no connection, as far as is known."""

    @property
    def open_channel(self) -> aiormq.Channel | None:
        """The channel, while it is open: the quick way."""
        channel = self._channel
        return None if channel is None or channel.is_closed else channel

    async def channel(self) -> aiormq.Channel:
        """An open channel. Waits until there is one, so bound the wait.

        Raises Unreachable once the link is closed.
        """
        while (channel := self.open_channel) is None:
            if self._closed:
                raise Unreachable("the producer is closed; use it inside `async with`")
            if self._opening is None or self._opening.done():
                self._opening = asyncio.create_task(self._open(), name="tidings-producer-link")
            # Several may wait for the same attempt: none may cancel it.
            await asyncio.wait([self._opening])
            if not self._opening.cancelled():
                self._opening.result()
        return channel

    @asynccontextmanager
    async def until(self, deadline: float, channel: aiormq.Channel) -> AsyncIterator[None]:
        """Bounds a publish: TimeoutError at `deadline` (loop time), or once `channel` is lost.

        Without the second, a publish that waits to be written to a dead connection waits on.
        """
        async with asyncio.timeout_at(deadline) as scope:
            self._in_flight[scope] = channel
            try:
                yield
            finally:
                del self._in_flight[scope]

    def retire(self, channel: aiormq.Channel) -> None:
        """Publish on another channel from now on, and no sooner than a second after the last change.

        RabbitMQ tells a channel that a queue is full, and where the limit is taken away altogether
        it never tells it otherwise: it would refuse for ever.
        """
        loop = asyncio.get_running_loop()
        if channel is self.open_channel and loop.time() - self._opened_at > _RENEWED:
            self._channel = None
            closing = loop.create_task(self._close_later(channel))
            self._retired.add(closing)
            closing.add_done_callback(self._retired.discard)

    async def _close_later(self, channel: aiormq.Channel) -> None:
        await asyncio.sleep(_RETIRED)
        try:
            async with asyncio.timeout(_CLOSING_TIME):
                await channel.close()
        except (TimeoutError, *_REFUSALS) as error:
            self.trouble = f"closing a channel failed: {error}"

    async def close(self) -> None:
        """Close the connection, and stop trying to open one."""
        self._closed = True
        for closing in self._retired:
            closing.cancel()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._close_connection()

    async def _open(self) -> None:
        pause = _FIRST_PAUSE
        while not await self._try_each():
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _try_each(self) -> bool:
        for url in self._urls:
            self.trouble = self.trouble or f"{_shown(url)}: no answer yet"
            try:
                async with asyncio.timeout(self._attempt_timeout):
                    await self._connect(url)
            except TimeoutError:
                self.trouble = f"{_shown(url)}: no answer"
            except _REFUSALS as error:
                self.trouble = f"{_shown(url)}: {_explained(error)}"
            else:
                self.trouble = ""
                return True
            await self._close_connection()
        return False

    async def _connect(self, url: URL) -> None:
        connection = self._connection
        if connection is None or connection.is_closed:
            # Else a publish that the broker refused closed the channel only.
            connection = aiormq.Connection(url, context=self._ssl_context)
            await connection.connect(client_properties={"connection_name": self._name})
            self._connection = connection
        opened = await connection.channel(publisher_confirms=True, on_return_raises=True)
        channel = cast("aiormq.Channel", opened)  # the abstract one's publish lacks `wait`
        channel.closing.add_done_callback(lambda _: self._interrupt(channel))
        self._channel = channel
        self._opened_at = asyncio.get_running_loop().time()

    def _interrupt(self, lost: aiormq.Channel) -> None:
        now = asyncio.get_running_loop().time()
        for scope, channel in self._in_flight.items():
            if channel is lost and not scope.expired():
                scope.reschedule(now)

    async def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(_CLOSING_TIME):
                await connection.close(aiormq.ConnectionClosed(200, "closed by us"))
        except (TimeoutError, *_REFUSALS) as error:
            self.trouble = f"{_shown(connection.url)}: closing failed: {error}"


def _checked(text: str) -> URL:
    url = URL(text)
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise ValueError("a broker URL looks like amqp://user:password@host:5672/vhost")
    # aiormq's own default takes over two minutes to notice a dead peer.
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT_SECONDS)


def _explained(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not isinstance(error.__cause__, SSLCertVerificationError):
        return text
    return (
        f"{text}; where its authority is your own, pass "
        "ssl_context=ssl.create_default_context(cafile=…)"
    )


def _shown(url: URL) -> str:
    return str(url.with_user(None).with_query(None))
