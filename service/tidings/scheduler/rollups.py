"""Folds counted outcomes into rollups, and deletes rollups past their retention."""

import asyncio
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.operators.rollups import AT_ONCE

log = structlog.get_logger(__name__)

EVERY: Final = 5.0
"""Seconds between folds: statistics add up what is not folded yet, so this decides how fast they are, not how true."""
AFTER_FAILURE: Final = 60.0
"""Seconds after a fold that failed."""


async def fold_for_ever(ledger: PostgresLedger) -> None:
    """Fold regularly. Any number of schedulers may: one at a time does."""
    while True:
        await asyncio.sleep(await fold(ledger))


async def fold(ledger: PostgresLedger) -> float:
    """Fold what there is; seconds until it should be repeated."""
    try:
        while await ledger.rollups.fold() >= AT_ONCE:
            continue
    except TidingsError as error:
        log.warning("rollups not folded", error=str(error))
        return AFTER_FAILURE
    return EVERY


async def expire_rollups(ledger: PostgresLedger) -> bool:
    """Delete rollups past their retention; False if it should be repeated soon."""
    try:
        deleted = await ledger.rollups.expire()
    except TidingsError as error:
        log.warning("rollups not deleted", error=str(error))
        return isinstance(error, ConfigurationError)
    if deleted:
        log.info("rollups deleted by retention", deleted=deleted)
    return True
