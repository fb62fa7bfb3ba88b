"""Maintains the ledger: creates the partitions of the weeks ahead, and deletes rows past their retention."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.delivery.inbox import InboxHints
from tidings.ledger.ledger import PostgresLedger
from tidings.scheduler.inboxes import expire_messages
from tidings.scheduler.rollups import expire_rollups

log = structlog.get_logger(__name__)

EVERY: Final = 3_600.0
"""Seconds between rounds."""
AGAIN: Final = 60.0
"""Seconds after a failed round."""


async def maintain_ledger_for_ever(ledger: PostgresLedger, hints: InboxHints) -> None:
    """Maintain the ledger regularly. Any number of schedulers may: one of them does the work."""
    while True:
        await asyncio.sleep(EVERY if await maintain_ledger(ledger, hints) else AGAIN)


async def maintain_ledger(ledger: PostgresLedger, hints: InboxHints) -> bool:
    """Maintain the ledger once; False if it should be repeated soon.

    The parts are independent: rows are deleted even while a table in use prevents new partitions.
    """
    added = await add_partitions(ledger)
    deleted = await delete_expired(ledger)
    expired = await expire_rollups(ledger)
    emptied = await expire_messages(ledger, hints)
    return added and deleted and expired and emptied


async def add_partitions(ledger: PostgresLedger) -> bool:
    """Create missing partitions; False if it should be repeated soon."""
    try:
        today, weeks = datetime.now(UTC).date(), ledger.retention.periods.weeks
        added = await ledger.partitions.add_missing(today, weeks)
    except TidingsError as error:
        log.warning("partitions not created: rows go to the default partitions", error=str(error))
        return isinstance(
            error, ConfigurationError
        )  # repeating it soon is useless: a person has to act
    if added:
        log.info("partitions created", names=[partition.name for partition in added])
    return True


async def delete_expired(ledger: PostgresLedger) -> bool:
    """Delete rows past their retention; False if it should be repeated soon."""
    try:
        async for done in ledger.retention.run(datetime.now(UTC).date()):
            if done.deleted != 0:
                log.info("rows deleted by retention", **asdict(done))
    except TidingsError as error:
        log.warning("retention failed", error=str(error))
        return isinstance(error, ConfigurationError)
    return True
