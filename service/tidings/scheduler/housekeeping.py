"""Keeps the ledger in order: makes the partitions of the weeks ahead, and deletes what is over."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.ledger.ledger import PostgresLedger

log = structlog.get_logger(__name__)

EVERY: Final = 3_600.0
"""Seconds between two rounds."""
AGAIN: Final = 60.0
"""Seconds after one that failed."""


async def maintain_ledger_for_ever(ledger: PostgresLedger) -> None:
    """Round after round. Any number of schedulers may do it: one of them does the work."""
    while True:
        await asyncio.sleep(EVERY if await maintain_ledger(ledger) else AGAIN)


async def maintain_ledger(ledger: PostgresLedger) -> bool:
    """One round; False if it is worth another try soon.

    Each part by itself: what is over is deleted while a table in use keeps partitions from being made.
    """
    added = await add_partitions(ledger)
    deleted = await delete_expired(ledger)
    return added and deleted


async def add_partitions(ledger: PostgresLedger) -> bool:
    """Make those that are missing; False if it is worth another try soon."""
    try:
        today, weeks = datetime.now(UTC).date(), ledger.retention.periods.weeks
        added = await ledger.partitions.add_missing(today, weeks)
    except TidingsError as error:
        log.warning("partitions can't be made: rows go to the default ones", error=str(error))
        return isinstance(error, ConfigurationError)  # soon again is no use: a person has to act
    if added:
        log.info("partitions made", names=[partition.name for partition in added])
    return True


async def delete_expired(ledger: PostgresLedger) -> bool:
    """Delete what is over; False if it is worth another try soon."""
    try:
        async for done in ledger.retention.run(datetime.now(UTC).date()):
            if done.deleted != 0:
                log.info("deleted what was over", **asdict(done))
    except TidingsError as error:
        log.warning("what is over can't be deleted", error=str(error))
        return isinstance(error, ConfigurationError)
    return True
