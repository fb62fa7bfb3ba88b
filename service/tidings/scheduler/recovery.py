"""Looks through the ledger for notifications whose message is gone, and has them published again.

Where a lane was seen empty, whatever was due before has left it: if nobody claimed it, it is gone. A lane that
is never empty while somebody takes from it is given much longer, and one that nobody takes from keeps what it has.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Final

import structlog

from tidings.broker.connection import Connection
from tidings.broker.topology.inspection import Depth, depths
from tidings.broker.topology.layout import DEAD, Topology, lanes_of
from tidings.delivery.errors import TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications.requeue import Stranded
from tidings.scheduler.sweep import Sweep
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LONGEST_ROUND: Final = 60.0
"""Seconds between two looks at the queues, and at a part of the ledger; fewer where little patience is asked for."""
READING: Final = 0.1
"""This part of a round's time goes into reading, so that what was seen of the queues still holds at its end.
At 500 MB/s, a hundred gigabytes take half an hour or so."""
BUSY: Final = 24
"""How many times longer a message is waited for in a lane that is never empty."""


class Recovery:
    """Finds what is stranded, round by round, until cancelled. Any number may run: each row is taken once.

    Args:
        connection: To look at the queues with.
        timeout: Seconds for each answer of the broker.
        wake: Called when something is to be published.
    """

    def __init__(
        self,
        topology: Topology,
        ledger: PostgresLedger,
        metrics: Metrics,
        connection: Connection,
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
        """Look again and again."""
        while True:
            await asyncio.sleep(self._round_seconds)
            try:
                await self._round()
            except TidingsError as error:
                log.warning("can't look for lost messages", error=str(error))
            except Exception:
                log.exception("unexpected error: looking for lost messages goes on")

    async def _round(self) -> None:
        overdue = dict(self._overdue(await self._look()))
        lanes = {lane: overdue[lane.queue] for lane in self._lanes if lane.queue in overdue}
        requeues = self._ledger.requeues

        async def look(first: int, past: int, limit: int) -> int:
            found = await requeues.find(first, past, lanes, overdue.get(DEAD), limit)
            self._tell(await requeues.requeue(found, actor=self._ledger.actor))
            return len(found)

        await self._sweep.round(await requeues.pages(), look)

    async def _look(self) -> Sequence[Depth]:
        """How full the queues are, remembering which are empty."""
        connection = await self._connection.get()
        began = self._clock()
        found = await depths(connection, self._watched, self._timeout)
        self._empty_at |= {depth.queue: began for depth in found if depth.messages == 0}
        return found

    def _overdue(self, found: Sequence[Depth]) -> Iterator[tuple[str, float]]:
        """By queue, how late something must be before it is taken for lost."""
        now = self._clock()
        for depth in found:
            waits = []
            if (empty_at := self._empty_at.get(depth.queue)) is not None:
                waits.append(now - empty_at + self._round_seconds)
            if depth.consumers:
                waits.append(BUSY * self._after)
            if waits:
                yield depth.queue, max(self._after, min(waits))

    def _tell(self, requeued: Sequence[Stranded]) -> None:
        for stranded in requeued:
            self._metrics.requeued(stranded.channel)
        if requeued:
            log.warning(
                "messages were gone: published again",
                notifications=len(requeued),
                channels=sorted({stranded.channel for stranded in requeued}),
                first=str(requeued[0].id),
            )
            self._wake()
