"""Keeps one connection to RabbitMQ open: several URLs, backoff with jitter, a limit on every wait.

aio-pika's `connect_robust` is not used: one 406 while it restores its channels makes it loop, and it has
one URL and a fixed interval (docs/operations.md, "RabbitMQ is unavailable").
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self

import structlog

from tidings.broker.consumer import Redeclare
from tidings.broker.machine import MACHINE, Machine
from tidings.broker.topology.declaration import ensure
from tidings.broker.topology.layout import Topology
from tidings.broker.wire.amqp import CONNECTION_ERRORS, FramedConnection, broker_errors, explain
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.runtime.background import BackgroundTask, cancel_requested
from tidings.runtime.backoff import Backoff
from tidings.settings import BrokerSettings

log = structlog.get_logger(__name__)


class Startable(Protocol):
    """Begins its work anew on each new connection."""

    async def start(self, connection: FramedConnection, redeclare: Redeclare) -> None:
        """Begin on a new connection; what was begun on the last one ends.

        Args:
            redeclare: Declares the topology again if a part of it is missing; called with the time at which it was missed.
        """
        ...


class BrokerConnection:
    """A connection that reconnects whenever it is lost.

    Args:
        settings: URLs, heartbeat, time limits.
        name: Its name in the management UI, e.g. `tidings worker web-1:4242 (consume)`.
        topology: Declared on each new connection, or checked if our user may not declare. If that fails,
            it reconnects.
        consumers: Started on each new connection.
        machine: Connects.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        *,
        topology: Topology | None = None,
        consumers: Sequence[Startable] = (),
        machine: Machine = MACHINE,
    ) -> None:
        self._settings = settings
        self._name = name
        self._topology = topology
        self._consumers = consumers
        self._connect = machine.connect
        self._live: FramedConnection | None = None
        self._changed = asyncio.Condition()
        self._supervisor: BackgroundTask | None = None
        self._last_error = "not connected yet"
        self._declaring = asyncio.Lock()
        self._declared_at = 0.0

    async def __aenter__(self) -> Self:
        self._supervisor = BackgroundTask(
            f"keep connected: {self._name}", self._supervise, longest_pause=5
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._supervisor is not None:
            await self._supervisor.end()

    @property
    def up(self) -> bool:
        """Whether it is connected and its topology declared."""
        return self._live is not None and not self._live.is_closed

    async def get(self, timeout: float | None = None) -> FramedConnection:
        """The open connection; waits for it.

        Raises:
            BrokerUnavailable: It was not connected within `timeout` seconds (default: the setting).
        """
        limit = self._settings.amqp_timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(lambda: self.up)
        except TimeoutError:
            raise BrokerUnavailable(
                f"RabbitMQ was not reached within {limit:g}s: {self._last_error}"
            ) from None
        assert self._live is not None  # noqa: S101  # for the type checker: `up` says so
        return self._live

    async def redeclare(self, missed_at: float) -> None:
        """Declare the topology again: a part of it was deleted.

        Args:
            missed_at: Time at which it was missed, by the event loop's clock; nothing is done if it was declared since.

        Raises:
            BrokerUnavailable: It failed.
            ConfigurationError: A queue or exchange has other arguments.
        """
        async with self._declaring:
            if self._topology is None or self._declared_at > missed_at:
                return
            connection = await self.get()
            with broker_errors():
                await ensure(connection, self._topology, self._settings.amqp_timeout)
            self._declared_at = asyncio.get_running_loop().time()
            log.warning("topology declared again", connection=self._name)

    async def _supervise(self) -> None:
        backoff = Backoff(self._settings.amqp_backoff_max)
        tries = 0
        while not cancel_requested():
            url = self._settings.urls[tries % len(self._settings.urls)]
            tries += 1
            try:
                with broker_errors():
                    async with self._connected(url) as connection:
                        backoff.reset()
                        await connection.closed()
                self._last_error = "the connection was lost"
                log.warning("broker connection lost", connection=self._name)
            except TidingsError as error:
                self._last_error = explain(error)
                log.warning("broker unavailable", connection=self._name, error=self._last_error)
            await asyncio.sleep(backoff.next())

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[FramedConnection]:
        connection = await self._connect(url, self._settings, self._name)
        try:
            if self._topology is not None:
                await ensure(connection, self._topology, self._settings.amqp_timeout)
            for consumer in self._consumers:
                await consumer.start(connection, self.redeclare)
            async with self._changed:
                self._live = connection
                self._changed.notify_all()
            log.info("broker connected", connection=self._name)
            yield connection
        finally:
            self._live = None
            await _close(connection)


async def _close(connection: FramedConnection) -> None:
    try:
        async with asyncio.timeout(5):
            await connection.close()
    except CONNECTION_ERRORS as error:
        log.debug("closing a broken broker connection", error=explain(error))
