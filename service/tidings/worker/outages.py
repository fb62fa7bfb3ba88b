"""Waiting out an outage: what could not be done is done again while the message is still ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from tidings.delivery.errors import BrokerUnavailable, ConfigurationError, LedgerUnavailable
from tidings.delivery.ports import Delivery
from tidings.runtime.backoff import Backoff

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

OUTAGES: Final = (LedgerUnavailable, BrokerUnavailable, ConfigurationError)
"""What passes, or a person mends."""


class DeliveryLost(Exception):  # named for what happened to the message
    """The broker has taken the message back: whoever gets it next goes on from the ledger."""


async def retry_outages(
    delivery: Delivery, work: Callable[[], Awaitable[Result]], *, insist: bool = False
) -> Result:
    """Do `work` until it succeeds, or the message is no longer ours.

    Args:
        insist: Do it whoever has the message by now: it tells what nobody else knows.

    Raises:
        DeliveryLost: The delivery's channel is gone, so the broker delivers it again.
    """
    backoff: Backoff | None = None
    while True:
        try:
            return await work()
        except OUTAGES as error:
            if backoff is None:
                log.warning(
                    "holding a message until this passes", queue=delivery.queue, error=str(error)
                )
                backoff = Backoff(longest=5)
        if not (insist or delivery.alive):
            raise DeliveryLost
        await asyncio.sleep(backoff.next())
