"""The process behind `tidings outbox relay`: publishes from a producer's own database until a signal."""

import asyncio
from functools import partial
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.ledger.producer_database import connect_to_producer, producer_database
from tidings.runtime.background import BackgroundTask
from tidings.runtime.backoff import Backoff
from tidings.runtime.certificates import verifying
from tidings.runtime.stopping import AFTER_GRACE, Stop, stop_on_signal
from tidings.settings import Settings
from tidings.telemetry.http import HealthServer
from tidings.telemetry.log_writer import LogWriter
from tidings.telemetry.metrics import Metrics
from tidings.telemetry.outbox_metrics import OutboxMetrics, RelayFigures
from tidings_events.outbox.relay import DATABASE_ERRORS, OutboxRelay
from tidings_events.outbox.rows import OutboxBacklog, OutboxMissing, OutboxRows

log = structlog.get_logger(__name__)

NAME: Final = "tidings outbox relay"
COUNTED_EVERY: Final = 15.0
"""Seconds between two counts of what waits, for the metrics."""


class RelayProcess:
    """A relay with the health and metrics that every role has.

    Args:
        settings: The process's.
        dsn: The producer's database.
        schema: Where its table is.
    """

    def __init__(self, settings: Settings, dsn: str, schema: str) -> None:
        broker, outbox = settings.broker, settings.outbox
        self._dsn = dsn
        self._schema = schema
        self._relay = OutboxRelay(
            dsn,
            broker.urls,
            schema=schema,
            keep=outbox.keep,
            poll=outbox.poll,
            timeout=broker.amqp_timeout,
            app_id=outbox.app_id,
            ssl_context=verifying(broker.amqp_ca_file, "TIDINGS_AMQP_CA_FILE"),
            name=NAME,
            connect=partial(connect_to_producer, dsn, NAME),
        )
        self._backlog: OutboxBacklog | None = None

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._relay.connected

    @property
    def database_connected(self) -> bool:
        """Whether the producer's database is connected."""
        return self._relay.database_connected

    @property
    def ready(self) -> bool:
        """Whether it can do its work now."""
        return self._relay.ready

    async def wait_for_table(self, stop: asyncio.Event) -> None:
        """Wait for the database.

        Raises:
            ConfigurationError: It has no outbox, or login or permissions are wrong.
        """
        backoff = Backoff(longest=5)
        while not stop.is_set():
            try:
                async with producer_database(self._dsn, NAME) as session:
                    await OutboxRows(session, self._schema).check()
            except OutboxMissing as error:
                raise ConfigurationError(str(error)) from None
            except LedgerUnavailable as error:
                log.warning("waiting for the producer's database", error=str(error))
                await _wait(stop, backoff.next())
            else:
                return

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then finish the batch in progress."""
        publishing = asyncio.create_task(self._relay.run(), name=NAME)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([publishing, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._relay.stop()
        await publishing

    async def count_for_ever(self) -> None:
        """Count what waits, for the metrics."""
        while True:
            try:
                self._backlog = await self._relay.backlog()
            except DATABASE_ERRORS as error:
                log.debug("the outbox was not counted", error=str(error))
            await asyncio.sleep(COUNTED_EVERY)

    def figures(self) -> RelayFigures:
        """For the metrics."""
        counts, backlog = self._relay.counts, self._backlog
        done = (counts.published, counts.failed, counts.postponed)
        if backlog is None:
            return RelayFigures(*done)
        return RelayFigures(*done, backlog.pending, backlog.failed, backlog.oldest)


async def serve(settings: Settings, dsn: str, schema: str, log_writer: LogWriter) -> None:
    """Run a relay in this process until a signal; a second signal ends it immediately.

    Args:
        settings: RabbitMQ, outbox, and those of every process.
        dsn: The producer's database.
        schema: Where its table is.
        log_writer: Writes the log, so that its last lines are out before the process ends.

    Raises:
        ConfigurationError: Settings or database need a change first; says which.
    """
    stop = Stop(settings.worker.grace + AFTER_GRACE, log_writer.drain)
    relay = RelayProcess(settings, dsn, schema)
    with stop_on_signal(stop):
        await relay.wait_for_table(stop)
        if stop.is_set():
            return
        if settings.worker.http_port is None:
            await relay.run(stop)
            return
        async with _http(settings, relay, log_writer) as http:
            log.info("listening", host=settings.worker.http_host, port=http.port)
            counting = BackgroundTask("count the outbox", relay.count_for_ever)
            try:
                await relay.run(stop)
            finally:
                await counting.end()


def _http(settings: Settings, relay: RelayProcess, log_writer: LogWriter) -> HealthServer:
    metrics = Metrics(log_writer.dropped)
    OutboxMetrics(metrics.registry, relay.figures)
    metrics.broker_up.set_function(lambda: relay.connected)
    metrics.ledger_up.set_function(lambda: relay.database_connected)
    checks = {"outbox relay": lambda: relay.ready}
    return HealthServer(settings.worker.http_host, settings.worker.http_port or 0, metrics, checks)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
