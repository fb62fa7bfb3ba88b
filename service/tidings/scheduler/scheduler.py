"""The scheduler role: publishes notifications when they are due, and requeues lost ones.

Any number may run. Each takes rows that no other has locked, and the row of a scheduler that died comes
due again by itself (`tidings.ledger.notifications.dispatch`).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from tidings.broker.connection import BrokerConnection
from tidings.broker.dispatching import publish_dispatches
from tidings.broker.machine import MACHINE, Machine
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.topology.layout import Topology
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable, TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications.dispatch import DUE, OutboxEntry
from tidings.ledger.notifications.outbox_lease import keep_leased
from tidings.runtime.background import BackgroundTask
from tidings.runtime.backoff import Backoff
from tidings.scheduler.queues import QueueWatch
from tidings.scheduler.recovery import Recovery
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500
"""Notifications taken at once."""
PAUSE: Final = 1.0
"""Seconds after a failure that holds up nothing else."""
LONGEST_SLEEP: Final = 60.0
"""Seconds after which it reads the outbox even if nothing woke it."""


class Scheduler:
    """Publishes scheduled notifications when they are due, until stopped."""

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        ledger: PostgresLedger,
        metrics: Metrics,
        machine: Machine = MACHINE,
    ) -> None:
        self._ledger = ledger
        self._clock = machine.clock
        self._metrics = metrics
        self._connection = BrokerConnection(
            settings.broker,
            f"tidings {ledger.actor}",
            topology=topology,
            machine=machine,
        )
        self._publisher = BrokerPublisher(settings.broker, self._connection)
        self._watching = False
        self._tasks: list[BackgroundTask] = []
        self._wake = asyncio.Event()
        self._queues = QueueWatch(
            topology,
            ledger,
            self._connection,
            settings.broker.amqp_timeout,
            machine.clock.seconds,
        )
        self._recovery = Recovery(
            topology,
            ledger,
            metrics,
            self._connection,
            settings.broker.amqp_timeout,
            self._wake.set,
            machine.clock.seconds,
        )

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._connection.up

    @property
    def ready(self) -> bool:
        """Whether due notifications can be published now, and all tasks run."""
        return self._connection.up and self._watching and all(task.healthy for task in self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish due notifications until `stop` is set."""
        async with self._connection:
            log.info("scheduler started")
            self._tasks = [
                BackgroundTask("publish due notifications", self._watch_for_ever),
                BackgroundTask("look for lost messages", self._recovery.run_for_ever),
                BackgroundTask("look at the queues", self._queues.run_for_ever),
            ]
            await stop.wait()
            for task in reversed(self._tasks):
                await task.end()
            log.info("scheduler stopped")

    async def _watch_for_ever(self) -> None:
        backoff = Backoff(longest=5)
        wake = self._wake
        while True:
            try:
                async with self._ledger.database.listening(DUE, wake) as listens:
                    self._watching = True
                    backoff.reset()
                    await self._dispatch_while(listens, wake)
            except TidingsError as error:
                log.warning("scheduler waiting", error=str(error))
            finally:
                self._watching = False
            await asyncio.sleep(backoff.next())

    async def _dispatch_while(self, listens: Callable[[], bool], wake: asyncio.Event) -> None:
        """Publish due notifications until the listening connection is lost.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable, or the listening connection was lost.
            BrokerUnavailable: RabbitMQ is unavailable.
        """
        while listens():
            wake.clear()
            await self._take_over()
            await self._connection.get()
            if await self._ledger.dispatching.paused():
                await _wait(wake, LONGEST_SLEEP)
                continue
            if await self._dispatch():
                continue
            seconds = await self._ledger.outbox.seconds_to_next()
            await _wait(wake, LONGEST_SLEEP if seconds is None else min(seconds, LONGEST_SLEEP))
        raise LedgerUnavailable("PostgreSQL: the listening connection was lost")

    async def _take_over(self) -> None:
        """Enter what replays left, also while nothing can be published, or may: then it is known to wait."""
        try:
            while await self._ledger.outbox_batches.take_over():
                pass
        except TidingsError as error:  # a table that only replays need holds up no other
            log.warning("what replays left does not enter the outbox", error=str(error))
            await asyncio.sleep(PAUSE)

    async def _dispatch(self) -> int:
        """Publish due notifications; returns how many were taken."""
        taken = await self._ledger.outbox.take(AT_ONCE, actor=self._ledger.actor)
        if taken:
            try:
                async with keep_leased(partial(self._ledger.outbox.keep, taken)):
                    confirmed = await publish_dispatches(
                        self._publisher, taken, by=self._ledger.actor
                    )
            except BrokerUnavailable as error:
                await self._not_published(taken, str(error))
                raise
            await self._ledger.outbox.dispatched(confirmed)
            if len(confirmed) < len(taken):
                done = {entry.id for entry in confirmed}
                left = [entry for entry in taken if entry.id not in done]
                await self._not_published(left, "RabbitMQ did not confirm it")
            for dispatch in confirmed:
                self._metrics.dispatched(dispatch.late)
            log.info("dispatched", due=len(taken), confirmed=len(confirmed), at=self._clock.now())
        return len(taken)

    async def _not_published(self, left: Sequence[OutboxEntry], error: str) -> None:
        await self._ledger.outbox_entries.not_published([entry.id for entry in left], error)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.01, seconds)):
            await wake.wait()
    except TimeoutError:
        return
