"""Step eight, archive: takes dead letters from their queue into PostgreSQL, and only then acknowledges."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import structlog

from tidings.alerts.alerting import Alerting, alert_of
from tidings.archive.dead_letter_log import log_dead_letter
from tidings.archive.outage import Outage
from tidings.broker.connection import BrokerConnection
from tidings.broker.consumer import Consumer, Subscription
from tidings.broker.dead_letters import dead_letter_of_bytes, read_dead_letter
from tidings.broker.machine import MACHINE, Machine
from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.topology.layout import DEAD, PRIORITIES, Topology
from tidings.delivery.archiving import Wait
from tidings.delivery.dead_letter import DeadLetter, Origin
from tidings.delivery.errors import (
    ConfigurationError,
    LedgerRefused,
    LedgerUnavailable,
    TidingsError,
)
from tidings.delivery.outcome import Failure
from tidings.delivery.ports import Delivery
from tidings.delivery.search_fields import NO_SEARCH_FIELDS
from tidings.ledger.batcher import Batcher
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.rows import ArchiveRequest
from tidings.ledger.dead_letters.storing import Archived
from tidings.ledger.ledger import PostgresLedger
from tidings.runtime.background import BackgroundTask, cancel_requested, end
from tidings.runtime.backoff import Backoff
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

PREFETCH: Final = 200
"""Dead letters held unacknowledged."""
LARGE: Final = 256 * 1024
"""Bytes from which a body is stored in a statement of its own: two hundred large ones don't fit in one."""
LONGEST_LOOK_AWAY: Final = 5.0
"""Seconds between two tries to store a dead letter whose notification another worker may still be sending."""
TIDY: Final = 60.0
"""Seconds between two searches for replays whose confirm was not recorded."""

Answer = Archived | Wait


class Archive:
    """Stores the messages of the dead-letter queue until stopped. Any number may run.

    Args:
        memory_budget: What this process holds, where it has other roles too.

    Raises:
        ConfigurationError: Alerts could not be sent as configured.
    """

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        ledger: PostgresLedger,
        metrics: Metrics,
        machine: Machine = MACHINE,
        memory_budget: MemoryBudget | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clock = machine.clock
        self._metrics = metrics
        self._policies = Policies(settings)
        self._channels = tuple(settings.channels)
        self._outage = Outage()
        self._tasks: dict[asyncio.Task[None], Delivery] = {}
        self._tidying: BackgroundTask | None = None
        self._stopping = False
        name = f"tidings {ledger.actor}"
        self._consumer = Consumer(
            [Subscription(DEAD, PREFETCH, rank=len(PRIORITIES))],
            self._receive,
            settings.broker.amqp_timeout,
            machine.clock.seconds,
            memory_budget=memory_budget or MemoryBudget(settings.worker.buffer_bytes),
        )
        self._connection = BrokerConnection(
            settings.broker,
            f"{name} (consume)",
            topology=topology,
            consumers=[self._consumer],
            machine=machine,
        )
        self._alerting: Alerting = alert_of(settings, ledger, name)
        store = ledger.dead_letters.archiving.store
        self._small: Batcher[ArchiveRequest, Answer] = Batcher(store, size=PREFETCH)
        self._large: Batcher[ArchiveRequest, Answer] = Batcher(store, size=1, lanes=1)

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._connection.up

    @property
    def ready(self) -> bool:
        """Whether the dead-letter queue is consumed, dead letters can be stored, and all background tasks run."""
        tasks_healthy = self._alerting.healthy and (self._tidying is None or self._tidying.healthy)
        return (
            self._connection.up
            and self._consumer.ready
            and not self._outage.lasts
            and tasks_healthy
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until `stop` is set, then finish within the grace period."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._alerting)
            await stack.enter_async_context(self._small)
            await stack.enter_async_context(self._large)
            await stack.enter_async_context(self._connection)
            self._tidying = BackgroundTask("tidy replays", self._tidy_for_ever)
            log.info("archive started")
            await stop.wait()
            await self._tidying.end()
            await self._finish()
            log.info("archive stopped")

    def _receive(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._archive(delivery))
        self._tasks[task] = delivery
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Requeue the dead letter if its task failed."""
        delivery = self._tasks.pop(task)
        if (task.cancelled() or task.exception() is not None) and not self._stopping:
            log.error(
                "unexpected error: dead letter requeued",
                exc_info=None if task.cancelled() else task.exception(),
            )
            delivery.requeue()

    async def _archive(self, delivery: Delivery) -> None:
        """Store one dead letter. If that is cancelled, it stays in its queue and is delivered again."""
        dead_letter = self._read(delivery)
        backoff = Backoff(longest=LONGEST_LOOK_AWAY)
        while delivery.alive:
            try:
                batcher = self._large if len(dead_letter.body) >= LARGE else self._small
                answer = await batcher.submit(self._policies.request(dead_letter))
            except (LedgerUnavailable, ConfigurationError) as error:
                await self._outage.wait(error)
                continue
            except LedgerRefused:
                log.exception("dead letter refused by PostgreSQL", dead_letter=str(dead_letter.id))
                dead_letter = _bare(dead_letter)
                await asyncio.sleep(backoff.next())
                continue
            except (Exception, asyncio.CancelledError):
                if cancel_requested():
                    raise
                log.exception(
                    "unexpected error: dead letter waits", dead_letter=str(dead_letter.id)
                )
                await asyncio.sleep(backoff.next())
                continue
            self._outage.over()
            if isinstance(answer, Archived):
                delivery.ack()
                self._report(answer)
                return
            if self._stopping:
                return
            left = (answer.until - self._clock.now()).total_seconds()
            await asyncio.sleep(min(max(0.1, left), LONGEST_LOOK_AWAY))

    def _read(self, delivery: Delivery) -> DeadLetter:
        """Read it, or keep its bytes."""
        try:
            return read_dead_letter(delivery, channels=self._channels, now=self._clock.now())
        except Exception as error:
            log.exception("unexpected error: dead letter archived unread")
            return dead_letter_of_bytes(delivery, error)

    def _report(self, archived: Archived) -> None:
        if archived.new and log_dead_letter(archived.entry):
            dead_letter = archived.entry.dead_letter
            if dead_letter.search_fields.test:  # nobody is to be woken by it
                return
            self._metrics.dead_letter(dead_letter.channel, dead_letter.reason)
            self._alerting.noted(dead_letter)

    async def _finish(self) -> None:
        self._stopping = True
        self._consumer.stop_taking()
        grace = 0.0 if self._outage.lasts else self._settings.worker.grace
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        left = [task for task in self._tasks if not task.done()]
        await asyncio.gather(*map(end, left))
        await self._consumer.close()
        if left:
            log.warning("dead letters left in their queue", dead_letters=len(left))

    async def _tidy_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TIDY)
            try:
                await self._ledger.dead_letters.replays.finish()
            except TidingsError as error:
                log.warning("replay records not cleaned up", error=str(error))


def _bare(dead_letter: DeadLetter) -> DeadLetter:
    """The dead letter without the fields that PostgreSQL may have refused.

    First without descriptive fields, so that its notification still ends; if that is refused too, as bytes alone,
    without a notification.
    """
    text = f"{dead_letter.failure.kind}; its other fields could not be stored: the archive's log says why"
    failure = Failure("unstorable", text.encode("ascii", "replace").decode())
    bare = replace(
        dead_letter,
        headers={},
        properties={},
        exchange="",
        routing_key="",
        content_type=None,
        failure=failure,
    )
    if dead_letter.failure.kind != failure.kind:
        return bare
    return replace(
        bare, notification=None, unread=NO_SEARCH_FIELDS, lane=None, origin=Origin.ASTRAY
    )
