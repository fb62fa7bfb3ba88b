"""Finds notifications whose message is lost, and requeues them.

If a lane was seen empty, all earlier messages have left it: one that no worker has claimed is lost. For a lane with
consumers that is never empty, the limit is much longer; in a lane without consumers nothing is considered lost.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

import structlog

from tidings.broker.connection import BrokerConnection
from tidings.broker.topology.inspection import Depth, depths
from tidings.broker.topology.layout import DEAD, Topology, lanes_of
from tidings.delivery.errors import TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications.requeue import Stranded
from tidings.scheduler.sweep import Sweep
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LONGEST_ROUND: Final = 60.0
"""Seconds between rounds, each over the queues and a part of the ledger; fewer if `TIDINGS_REQUEUE_AFTER` is short."""
READING: Final = 0.1
"""Share of a round spent on reading the ledger, so that the state of the queues is still current at its end.
At 500 MB/s a hundred gigabytes take about half an hour."""
BUSY: Final = 24
"""Factor by which the limit is longer for a lane that is never empty."""


class Recovery:
    """Finds lost messages, round by round, until cancelled. Any number may run: each row is taken once.

    Args:
        connection: For inspecting the queues.
        timeout: Seconds to wait for each reply of RabbitMQ.
        wake: Called if messages are to be published.
    """

    def __init__(
        self,
        topology: Topology,
        ledger: PostgresLedger,
        metrics: Metrics,
        connection: BrokerConnection,
        timeout: float,
        wake: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._connection = connection
        self._timeout = timeout
        self._wake = wake
        self._clock = clock
        self._after = ledger.requeues.after
        self._round_seconds = min(LONGEST_ROUND, self._after / 15)
        self._lanes = lanes_of(topology)
        # The others need not be looked at, and RabbitMQ 4.3 shows a user only what it may use.
        names = {DEAD, *(lane.queue for lane in self._lanes)}
        queues = tuple(queue for queue in topology.queues if queue.name in names)
        self._watched = replace(topology, queues=queues)
        self._empty_at: dict[str, float] = {}
        self._sweep = Sweep(READING * self._round_seconds, clock)

    async def run_for_ever(self) -> None:
        """Run rounds until cancelled."""
        while True:
            await asyncio.sleep(self._round_seconds)
            try:
                await self._round()
            except TidingsError as error:
                log.warning("search for lost messages failed", error=str(error))
            except Exception:
                log.exception("unexpected error in the search for lost messages")

    async def _round(self) -> None:
        overdue = dict(self._overdue(await self._inspect()))
        lanes = {lane: overdue[lane.queue] for lane in self._lanes if lane.queue in overdue}
        requeues = self._ledger.requeues

        async def look(first: int, past: int, limit: int) -> int:
            found = await requeues.find(first, past, lanes, overdue.get(DEAD), limit)
            self._report(await requeues.requeue(found, actor=self._ledger.actor))
            return len(found)

        await self._sweep.round(await requeues.pages(), look)

    async def _inspect(self) -> Sequence[Depth]:
        """Read the depths of the queues, and note which are empty."""
        connection = await self._connection.get()
        began = self._clock()
        found = await depths(connection, self._watched, self._timeout)
        self._empty_at |= {depth.queue: began for depth in found if depth.messages == 0}
        return found

    def _overdue(self, found: Sequence[Depth]) -> Iterator[tuple[str, float]]:
        """By queue, the age in seconds from which a message is considered lost."""
        now = self._clock()
        for depth in found:
            waits = []
            if (empty_at := self._empty_at.get(depth.queue)) is not None:
                waits.append(now - empty_at + self._round_seconds)
            if depth.consumers:
                waits.append(BUSY * self._after)
            if waits:
                yield depth.queue, max(self._after, min(waits))

    def _report(self, requeued: Sequence[Stranded]) -> None:
        for stranded in requeued:
            self._metrics.requeued(stranded.channel)
        if requeued:
            log.warning(
                "lost messages requeued",
                notifications=len(requeued),
                channels=sorted({stranded.channel for stranded in requeued}),
                first=str(requeued[0].id),
            )
            self._wake()
