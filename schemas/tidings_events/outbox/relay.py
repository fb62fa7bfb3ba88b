"""Publishes what is committed in an outbox; any number of relays may share one.

Each batch is one transaction: rows are locked (`FOR UPDATE SKIP LOCKED`), published, and settled when RabbitMQ has
confirmed them. Row locks rather than leases: one write for each row instead of two, no clock, and a relay that dies
holds nothing back. The price is a transaction that stays open during a publish. It is opened only when RabbitMQ is
connected, and `timeout` bounds it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext
from time import monotonic
from typing import Final, Self

import aiormq
import asyncpg

from tidings_events.burst import MessageRefused, publish_together
from tidings_events.errors import PublishFailed, Unreachable
from tidings_events.link import Link
from tidings_events.outbox.batch import HeldLanes, Pause, RelayBatch, reason_without_values
from tidings_events.outbox.rows import (
    PURGED,
    Connection,
    OutboxBacklog,
    OutboxMissing,
    OutboxRows,
    RowOutcomes,
)
from tidings_events.outbox.table import CHANNEL, DEFAULT_SCHEMA
from tidings_events.publication import check_app_id

log = logging.getLogger(__name__)

MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of the notifications of one batch, unless one alone is larger."""
PURGE_EVERY: Final = 60.0
"""Seconds between two looks for published rows that were kept long enough."""
AFTER_UNEXPECTED: Final = 1.0
"""Seconds to wait after an error of our own."""
CONNECT_TIMEOUT: Final = 10.0
STATEMENT_TIMEOUT: Final = 30.0
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OutboxMissing,
)


@dataclass(slots=True)
class RelayCounts:
    """What a relay has done since it was made."""

    published: int = 0
    failed: int = 0
    """Rows that became `failed`."""
    postponed: int = 0
    """Rows that RabbitMQ refused for now."""


class OutboxRelay:
    """Publishes from the outbox of one database. Run it in your own process, or as `tidings outbox relay`.

        async with OutboxRelay("postgresql://shop@db/shop", "amqp://tidings") as relay:
            ...

    It reconnects to both servers by itself; leaving the block finishes the batch in progress.
    """

    def __init__(
        self,
        dsn: str,
        amqp_urls: str | Sequence[str],
        *,
        schema: str = DEFAULT_SCHEMA,
        keep: float = 0.0,
        poll: float = 1.0,
        batch: int = 500,
        timeout: float = 5.0,
        attempts: int = 8,
        app_id: str | None = None,
        ssl_context: SSLContext | None = None,
        name: str = "tidings outbox relay",
        connect: Callable[[], Awaitable[Connection]] | None = None,
    ) -> None:
        """Connects when it runs.

        Args:
            dsn: The producer's database, as asyncpg takes it.
            amqp_urls: RabbitMQ, one URL or several that are tried in turn.
            schema: The schema of the table.
            keep: Seconds that published rows are kept; 0: they are deleted.
            poll: Seconds between two looks at the table if nothing wakes the relay.
            batch: Rows that are published together, in one transaction.
            timeout: Seconds that RabbitMQ has to confirm a batch.
            attempts: How often a notification is published that no queue takes, until its row is `failed`.
            app_id: The AMQP property by which dead letters name their producer; the database's name if None.
            ssl_context: For amqps URLs; certificates are verified by default.
            name: What RabbitMQ and PostgreSQL show for its connections.
            connect: Opens the connection to the database, instead of `dsn`.

        Raises:
            ValueError: A URL is not an AMQP URL, the app_id is too long, or the schema is no name.
        """
        check_app_id(app_id)
        brokers = [amqp_urls] if isinstance(amqp_urls, str) else list(amqp_urls)
        self._connect = connect or partial(_connect, dsn, name)
        self._schema = schema
        self._keep = keep
        self._poll = poll
        self._most = self._size = batch
        self._timeout = timeout
        self._attempts = attempts
        self._app_id = app_id
        self._link = Link(
            brokers, name=name, attempt_timeout=max(1.0, timeout), ssl_context=ssl_context
        )
        self._lanes = HeldLanes(monotonic)
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._purge_at = 0.0
        self._database_pause = Pause()
        self.counts: Final = RelayCounts()
        self.database_connected = False
        self.last_error = ""
        """What is wrong now; empty if nothing is."""

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._link.open_channel is not None

    @property
    def ready(self) -> bool:
        """Whether it publishes, or would if there was something to publish."""
        return self.connected and self.database_connected and not self.last_error

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run(), name="tidings-outbox-relay")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    def stop(self) -> None:
        """Finish the batch in progress, then end."""
        self._stopped.set()
        self._wake.set()

    async def check(self) -> None:
        """Look whether the table is there.

        Raises:
            OutboxMissing: It is not, or is of an older version.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: The database can't be reached.
        """
        async with self._session():
            pass

    async def backlog(self) -> OutboxBacklog:
        """Count what waits, on a connection of its own. Raises like `check`."""
        async with self._session() as rows:
            return await rows.backlog()

    async def run(self) -> None:
        """Publish until `stop` is called."""
        try:
            while not self._stopped.is_set():
                try:
                    await self._publish_while_connected()
                except DATABASE_ERRORS as error:
                    text = str(error).partition("\n")[0]  # the lines below may quote a row
                    self._report(f"PostgreSQL: {text or type(error).__name__}")
                    await _wait(self._stopped, self._database_pause.next())
                except Exception:
                    log.exception("unexpected error in the outbox relay: it starts again")
                    self.last_error = "unexpected error; the log has it"
                    await _wait(self._stopped, AFTER_UNEXPECTED)
        finally:
            await self._link.close()

    async def _publish_while_connected(self) -> None:
        try:
            async with self._session(listening=True) as rows:
                self.database_connected = True
                self._database_pause = Pause()
                await self._publish_from(rows)
        finally:
            self.database_connected = False

    @asynccontextmanager
    async def _session(self, *, listening: bool = False) -> AsyncIterator[OutboxRows]:
        connection = await self._connect()
        try:
            rows = OutboxRows(connection, self._schema, self._keep, longest=self._timeout)
            database = await rows.check()
            self._app_id = self._app_id or database
            if listening:
                connection.add_termination_listener(self._notified)
                await connection.add_listener(CHANNEL, self._notified)
            yield rows
        except BaseException:
            connection.terminate()  # with the transaction and its locks
            raise
        with suppress(*DATABASE_ERRORS):
            await connection.close(timeout=2)

    def _notified(self, *_: object) -> None:
        self._wake.set()

    async def _publish_from(self, rows: OutboxRows) -> None:
        pause = Pause()
        while not self._stopped.is_set():
            channel = await self._channel()
            if channel is None:
                return
            self._wake.clear()
            moved, trouble = await self._round(rows, channel)
            if trouble is not None:
                self._report(f"RabbitMQ: {trouble}")
                await _wait(self._stopped, pause.next())
                continue
            pause = Pause()
            self._report("")
            if not moved:
                await self._purge(rows)
                await _wait(self._wake, self._poll)

    async def _channel(self) -> aiormq.Channel | None:
        """An open channel; None if the relay stops. No transaction is open while it waits."""
        while not self._stopped.is_set():
            try:
                async with asyncio.timeout(1):
                    return await self._link.channel()
            except TimeoutError:
                self._report(f"RabbitMQ: {self._link.last_error}")
            except Unreachable:
                return None
        return None

    async def _round(
        self, rows: OutboxRows, channel: aiormq.Channel
    ) -> tuple[int, PublishFailed | None]:
        """Publish one batch; how many rows it had, and what kept RabbitMQ from answering for all of them."""
        taken = await rows.take(self._size, MOST_BYTES, self._lanes.names())
        if not taken:
            await rows.release()
            return 0, None
        batch = RelayBatch(taken, self._app_id)
        burst = await publish_together(channel, batch.publications, self._timeout)
        batch.sort(burst, self._lanes, self._attempts)
        await rows.settle(batch.settlement)
        self._count(batch.settlement)
        self._adapt(burst.failure)
        if burst.failure is not None:
            rows.start_over()
        if burst.failure is not None or batch.settlement.postponed:
            self._link.retire(channel)  # it may refuse for ever
        return len(taken), burst.failure

    def _adapt(self, failure: PublishFailed | None) -> None:
        """Publish less at once after a failure: a slow broker confirms it in time, and one that closes the channel over
        a message, without saying which, has only one to mean."""
        if failure is None:
            self._size = min(self._most, self._size * 2)
        else:
            self._size = max(1, self._size // (8 if isinstance(failure, MessageRefused) else 2))

    def _count(self, settlement: RowOutcomes) -> None:
        self.counts.published += len(settlement.published)
        self.counts.failed += len(settlement.failed)
        self.counts.postponed += len(settlement.postponed)
        for id, reason in settlement.failed.items():
            log.warning("outbox row %s failed: %s", id, reason_without_values(reason))

    async def _purge(self, rows: OutboxRows) -> None:
        """Delete what was kept long enough, one part at a time while nothing waits."""
        if monotonic() < self._purge_at:
            return
        if await rows.purge() < PURGED:
            self._purge_at = monotonic() + PURGE_EVERY
        else:
            self._wake.set()

    def _report(self, trouble: str) -> None:
        """Log what is wrong when it begins, changes or ends."""
        if trouble == self.last_error:
            return
        before, self.last_error = self.last_error, trouble
        if not trouble:
            log.info("the outbox relay publishes")
        elif (
            before.partition(":")[0] != trouble.partition(":")[0]
        ):  # of several brokers each fails in its own words
            log.warning("the outbox relay waits: %s", trouble)


async def _connect(dsn: str, name: str) -> Connection:
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT,
        command_timeout=STATEMENT_TIMEOUT,
        statement_cache_size=0,  # a pooler may hand the next transaction to another session
        server_settings={"application_name": name},
    )


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
