"""Ends snoozes and takes expired messages out of inboxes, within a second, and announces it; deletes old messages."""

import asyncio
from typing import Final

import structlog

from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.delivery.inbox import InboxHints
from tidings.ledger.ledger import PostgresLedger

log = structlog.get_logger(__name__)

LONGEST_SLEEP: Final = 1.0
"""Seconds after which it looks for new snoozes, and whether another scheduler has died."""
SHORTEST_SLEEP: Final = 0.05
"""Seconds between two looks while another scheduler does the work."""
AGAIN: Final = 2.0
"""Seconds after a failure."""


async def keep_inboxes_for_ever(ledger: PostgresLedger, hints: InboxHints) -> None:
    """Make the changes that are due. Any number of schedulers may: one of them does the work."""
    while True:
        await asyncio.sleep(await keep_inboxes(ledger, hints))


async def keep_inboxes(ledger: PostgresLedger, hints: InboxHints) -> float:
    """Make the changes that are due now; seconds until it should be repeated."""
    try:
        more = True
        while more:
            changes, more = await ledger.inbox_clock.turn()
            hints.announce(changes)
        seconds = await ledger.inbox_clock.seconds_to_next()
    except TidingsError as error:
        log.warning("inboxes not kept: snoozes don't end", error=str(error))
        return AGAIN
    if seconds is None:
        return LONGEST_SLEEP
    return min(LONGEST_SLEEP, max(SHORTEST_SLEEP, seconds))


async def expire_messages(ledger: PostgresLedger, hints: InboxHints) -> bool:
    """Delete messages past their retention; False if it should be repeated soon."""
    emptied = purged = 0
    try:
        async for step in ledger.inbox_purging.run():
            hints.announce(step.changes)
            emptied, purged = emptied + step.emptied, purged + step.purged
    except TidingsError as error:
        log.warning("messages of inboxes not deleted", error=str(error))
        return isinstance(error, ConfigurationError)
    if emptied or purged:
        log.info("messages of inboxes deleted by retention", emptied=emptied, purged=purged)
    return True
