"""Keeps the ledger's partitions in order: makes those of the weeks ahead."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.ledger.ledger import Ledger

log = structlog.get_logger(__name__)

EVERY: Final = 3_600.0
"""Seconds between two rounds."""
AGAIN: Final = 60.0
"""Seconds after one that failed."""


async def keep_house_for_ever(ledger: Ledger) -> None:
    """Round after round. Any number of schedulers may do it: one of them does the work."""
    while True:
        await asyncio.sleep(EVERY if await keep_house(ledger) else AGAIN)


async def keep_house(ledger: Ledger) -> bool:
    """One round; False if it could not be finished."""
    try:
        added = await ledger.partitions.add_missing(datetime.now(UTC).date())
    except TidingsError as error:
        log.warning("partitions can't be made: rows go to the default ones", error=str(error))
        return isinstance(error, ConfigurationError)  # soon again is no use: a person has to act
    if added:
        log.info("partitions made", names=[one.name for one in added])
    return True
