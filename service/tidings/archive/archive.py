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
"""Bytes from which a body is read and stored by itself: two hundred large ones don't fit in one statement."""
LONGEST_LOOK_AWAY: Final = 5.0
"""Seconds after which a dead letter that somebody may still be sending is looked at again."""
TIDY: Final = 60.0
"""Seconds between two looks for replays whose confirm was not recorded."""

Answer = Archived | Wait


class Archive:
    """Stores what arrives on the dead queue, until stopped. Any number may run.

    Args:
        memory_budget: What this process holds, where it has other roles too.

    Raises:
        ConfigurationError: Nobody could be told by the alerting that is set up.
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
        """Whether the dead queue is being consumed, dead letters can be stored, and all background tasks run."""
        tasks_healthy = self._alerting.healthy and (self._tidying is None or self._tidying.healthy)
        return (
            self._connection.up
            and self._consumer.ready
            and not self._outage.lasts
            and tasks_healthy
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Archive until `stop` is set, then finish what is in hand within the grace period."""
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
        """However a task ends, its dead letter does not wait for ever."""
        delivery = self._tasks.pop(task)
        if (task.cancelled() or task.exception() is not None) and not self._stopping:
            log.error(
                "unexpected end: a dead letter is taken again",
                exc_info=None if task.cancelled() else task.exception(),
            )
            delivery.requeue()

    async def _archive(self, delivery: Delivery) -> None:
        """See one dead letter into the ledger. What is given up stays in its queue and is delivered again."""
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
                log.exception(
                    "a dead letter can't be stored as it is", dead_letter=str(dead_letter.id)
                )
                dead_letter = _bare(dead_letter)
                await asyncio.sleep(backoff.next())
                continue
            except (Exception, asyncio.CancelledError):
                if cancel_requested():
                    raise
                log.exception(
                    "unexpected error: a dead letter waits", dead_letter=str(dead_letter.id)
                )
                await asyncio.sleep(backoff.next())
                continue
            self._outage.over()
            if isinstance(answer, Archived):
                delivery.ack()
                self._tell(answer)
                return
            if self._stopping:
                return
            left = (answer.until - self._clock.now()).total_seconds()
            await asyncio.sleep(min(max(0.1, left), LONGEST_LOOK_AWAY))

    def _read(self, delivery: Delivery) -> DeadLetter:
        """Whatever it is, it is kept."""
        try:
            return read_dead_letter(delivery, channels=self._channels, now=self._clock.now())
        except Exception as error:
            log.exception("unexpected error: a dead letter is stored unread")
            return dead_letter_of_bytes(delivery, error)

    def _tell(self, archived: Archived) -> None:
        if archived.new and log_dead_letter(archived.entry):
            dead_letter = archived.entry.dead_letter
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
            log.warning(
                "dead letters stay in their queue: they are delivered again", dead_letters=len(left)
            )

    async def _tidy_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TIDY)
            try:
                await self._ledger.dead_letters.replays.finish()
            except TidingsError as error:
                log.warning("replays could not be tidied", error=str(error))


def _bare(dead_letter: DeadLetter) -> DeadLetter:
    """Its bytes and as little else as can be: whatever could not be stored is not worth losing it.

    First without what only describes it, so that its notification is still ended; where that
    could not be stored either, as bytes of nobody.
    """
    said = f"{dead_letter.failure.kind}; what else was known of it could not be stored: the archive's log says why"
    failure = Failure("unstorable", said.encode("ascii", "replace").decode())
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
