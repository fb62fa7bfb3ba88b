"""Keeps one connection to RabbitMQ up: several URLs, backoff with jitter, a limit on every wait.

`connect_robust` is not used: one 406 while it restores its channels makes it loop, and it knows
one URL and a fixed interval (docs/operations.md, "When RabbitMQ is away").
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError
from yarl import URL

from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.settings import BrokerSettings

log = structlog.get_logger(__name__)

CONNECTION_ERRORS: Final = (
    AMQPError,
    aio_pika.exceptions.AMQPError,
    OSError,
    TimeoutError,
    RuntimeError,
)
"""What aio-pika and aiormq raise where the broker is away, refuses or hangs; `RuntimeError` is
theirs for a channel or connection that closed meanwhile."""

OnConnect = Callable[[AbstractConnection], Awaitable[None]]


async def _nothing(_: AbstractConnection) -> None:
    """No one has to prepare anything."""


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


class Connection:
    """A connection that is brought back whenever it is lost.

    Args:
        settings: URLs, heartbeat and time limits.
        name: What the management UI shows, e.g. `tidings worker web-1:4242 (consume)`.
        on_connect: Prepares each new connection (topology, consumers). Where it fails, the
            connection is dropped and tried again.
    """

    def __init__(
        self, settings: BrokerSettings, name: str, on_connect: OnConnect = _nothing
    ) -> None:
        self._settings = settings
        self._name = name
        self._on_connect = on_connect
        self._live: AbstractConnection | None = None
        self._changed = asyncio.Condition()
        self._supervisor: asyncio.Task[None] | None = None
        self._last_error = "not connected yet"

    async def __aenter__(self) -> Self:
        self._supervisor = asyncio.create_task(self._supervise(), name=f"keep up {self._name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)

    @property
    def up(self) -> bool:
        """Whether it is connected and prepared at this moment."""
        return self._live is not None and not self._live.is_closed

    async def get(self, timeout: float | None = None) -> AbstractConnection:
        """The live connection, waited for if need be.

        Raises:
            BrokerUnavailable: It did not come up within `timeout` seconds (default: the setting).
        """
        limit = self._settings.amqp_timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(lambda: self.up)
        except TimeoutError:
            raise BrokerUnavailable(
                f"RabbitMQ was not reached within {limit:g} s: {self._last_error}"
            ) from None
        assert self._live is not None  # noqa: S101  # for the type checker: `up` says so
        return self._live

    async def _supervise(self) -> None:
        backoff = Backoff(self._settings.amqp_backoff_max)
        tries = 0
        while True:
            url = self._settings.urls[tries % len(self._settings.urls)]
            tries += 1
            try:
                async with self._connected(url) as connection:
                    backoff.reset()
                    await connection.closed()
                self._last_error = "the connection was lost"
                log.warning("broker connection lost", connection=self._name)
            except (*CONNECTION_ERRORS, TidingsError) as error:
                self._last_error = explain(error)
                log.warning("broker unavailable", connection=self._name, error=self._last_error)
            await asyncio.sleep(backoff.next())

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[AbstractConnection]:
        connection = await connect(url, self._settings, self._name)
        try:
            await self._on_connect(connection)
            await self._announce(connection)
            yield connection
        finally:
            self._live = None
            await _close(connection)

    async def _announce(self, connection: AbstractConnection) -> None:
        async with self._changed:
            self._live = connection
            self._changed.notify_all()
        log.info("broker connected", connection=self._name)


async def connect(url: str, settings: BrokerSettings, name: str) -> AbstractConnection:
    """One connection, now.

    Raises:
        BrokerUnavailable: It could not be had within the time limit.
    """
    target = URL(url).update_query(name=name, heartbeat=str(settings.amqp_heartbeat))
    try:
        async with asyncio.timeout(settings.amqp_timeout):
            return await aio_pika.connect(target, ssl_context=_tls(target, settings))
    except CONNECTION_ERRORS as error:
        raise BrokerUnavailable(
            f"{target.host}:{target.port or 'default port'}: {explain(error)}"
        ) from error


async def open_channel(connection: AbstractConnection, timeout: float) -> AbstractChannel:
    """An aiormq channel, for the hot path: confirms on, returns raised."""
    async with asyncio.timeout(timeout):
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        return await channel.get_underlay_channel()


def explain(error: BaseException) -> str:
    """An AMQP error in one line, its type where it has no words; never a URL with its password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = " ".join(str(argument) for argument in error.args if argument) or str(error)
    if isinstance(error, TidingsError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(5):
            await connection.close()
    except CONNECTION_ERRORS as error:
        log.debug("closing a broken broker connection", error=explain(error))


def _tls(url: URL, settings: BrokerSettings) -> ssl.SSLContext | None:
    if url.scheme != "amqps":
        return None
    return ssl.create_default_context(cafile=settings.amqp_ca_file)
