"""Notes regularly what is in the lanes and the dead-letter queue, so that the age of what waits is known."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final

import structlog

from tidings.broker.connection import BrokerConnection
from tidings.broker.topology.inspection import depths
from tidings.broker.topology.layout import DEAD, Topology, lanes_of
from tidings.delivery.errors import TidingsError
from tidings.ledger.ledger import PostgresLedger

log = structlog.get_logger(__name__)

EVERY: Final = 10.0
"""Seconds between looks: an age is known as exactly as that."""


class QueueWatch:
    """Looks at the queues until cancelled. Any number may.

    Args:
        timeout: Seconds to wait for each reply of RabbitMQ.
    """

    def __init__(
        self,
        topology: Topology,
        ledger: PostgresLedger,
        connection: BrokerConnection,
        timeout: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        # Not at the retry queues: messages leave them after their delay, and a user may not see them.
        names = {DEAD, *(lane.queue for lane in lanes_of(topology))}
        queues = tuple(queue for queue in topology.queues if queue.name in names)
        self._watched = replace(topology, queues=queues)
        self._ledger = ledger
        self._connection = connection
        self._timeout = timeout
        self._clock = clock

    async def run_for_ever(self) -> None:
        """Look regularly. While a server is unavailable, nothing is noted, and ages grow."""
        while True:
            try:
                await self.look()
            except TidingsError as error:
                log.warning("queues not looked at", error=str(error))
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Look once, and keep what was seen.

        Raises:
            BrokerUnavailable: RabbitMQ is unavailable.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        connection = await self._connection.get()
        began = self._clock()
        found = await depths(connection, self._watched, self._timeout)
        messages = {each.queue: each.messages for each in found if each.messages is not None}
        await self._ledger.queue_ages.saw(messages, self._clock() - began)
