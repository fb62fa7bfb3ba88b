"""Updates the gauges of this process's metrics that count rows of the ledger."""

import asyncio
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

import structlog

from tidings.delivery.errors import TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.operators.backlog import count_backlog
from tidings.ledger.partitions import seconds_left
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

EVERY: Final = 15.0
"""Seconds between counts: the usual scrape interval of Prometheus."""
SHARE: Final = 100
"""The least wait between counts, as a multiple of a count's duration: with millions of dead letters it is slow."""


async def count_for_ever(ledger: PostgresLedger, metrics: Metrics) -> None:
    """Keep the gauges current. While PostgreSQL is unavailable they keep their last values."""
    while True:
        began = perf_counter()
        try:
            found = await count_backlog(ledger.database)
            backlog = await ledger.dispatching.backlog()
            paused = await ledger.dispatching.paused()
            left = seconds_left(await ledger.partitions.all(), datetime.now(UTC))
        except TidingsError as error:
            log.warning("gauges not updated", error=str(error))
        else:
            metrics.waiting(found.scheduled, found.overdue)
            metrics.dispatching(backlog.lag, backlog.schedules_overdue, paused=paused)
            metrics.partitions_end(left)
            metrics.open_dead_letters(
                {place: (counted.count, counted.oldest) for place, counted in found.open.items()}
            )
        await asyncio.sleep(max(EVERY, SHARE * (perf_counter() - began)))
