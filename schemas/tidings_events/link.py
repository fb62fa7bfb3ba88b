"""The producer's connection to the broker: opened when first needed, and reopened when lost.

Deliberately not `connect_robust`: that retries one URL at a fixed interval and never reports why.
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
"""Seconds that a replaced channel stays open for the confirms of earlier publishes."""
_REFUSALS = (OSError, aiormq.AMQPError, EOFError, RuntimeError, StopAsyncIteration)
"""Errors that aiormq raises if a broker is unreachable or refuses the connection."""


class Link:
    """A connection with one confirming channel, to the first of several brokers that answers."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        name: str,
        attempt_timeout: float,
        ssl_context: SSLContext | None,
    ) -> None:
        self._urls = tuple(_validated_url(url) for url in urls)
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
        self.last_error = ""
        """The last connection error; empty if there is none."""

    @property
    def open_channel(self) -> aiormq.Channel | None:
        """The channel, if it is open."""
        channel = self._channel
        return None if channel is None or channel.is_closed else channel

    async def channel(self) -> aiormq.Channel:
        """An open channel. Waits until there is one; bound it with a timeout.

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

        Without the second, a publish waiting to be written to a dead connection would wait on.
        """
        async with asyncio.timeout_at(deadline) as scope:
            self._in_flight[scope] = channel
            try:
                yield
            finally:
                del self._in_flight[scope]

    def retire(self, channel: aiormq.Channel) -> None:
        """Publish on a new channel from now on, at most once a second.

        RabbitMQ informs a channel that a queue is full, but not that the queue's limit was removed:
        the old channel would refuse for ever.
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
            self.last_error = f"closing a channel failed: {error}"

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
            self.last_error = self.last_error or f"{_without_login(url)}: no answer yet"
            try:
                async with asyncio.timeout(self._attempt_timeout):
                    await self._connect(url)
            except TimeoutError:
                self.last_error = f"{_without_login(url)}: no answer"
            except _REFUSALS as error:
                self.last_error = f"{_without_login(url)}: {_error_text(error)}"
            else:
                self.last_error = ""
                return True
            await self._close_connection()
        return False

    async def _connect(self, url: URL) -> None:
        connection = self._connection
        if connection is None or connection.is_closed:
            # Otherwise a refused publish has closed the channel only.
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
            self.last_error = f"{_without_login(connection.url)}: closing failed: {error}"


def _validated_url(text: str) -> URL:
    url = URL(text)
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise ValueError("a broker URL looks like amqp://user:password@host:5672/vhost")
    # aiormq's own default takes over two minutes to notice a dead peer.
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT_SECONDS)


def _error_text(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if not isinstance(error.__cause__, SSLCertVerificationError):
        return text
    return (
        f"{text}; if the certificate authority is your own, pass "
        "ssl_context=ssl.create_default_context(cafile=…)"
    )


def _without_login(url: URL) -> str:
    return str(url.with_user(None).with_query(None))
