"""Retries during an outage of PostgreSQL or RabbitMQ, while the message can still be acknowledged."""

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
"""Errors that pass, or that an operator resolves."""


class DeliveryLost(Exception):  # named for what happened to the message
    """RabbitMQ delivers the message again; its next consumer continues from the ledger."""


async def retry_outages(
    delivery: Delivery, work: Callable[[], Awaitable[Result]], *, insist: bool = False
) -> Result:
    """Repeat `work` until it succeeds, or the message can no longer be acknowledged.

    Args:
        insist: Repeat it even then: only this worker has the result.

    Raises:
        DeliveryLost: The delivery's channel is gone, so the broker delivers it again.
    """
    backoff: Backoff | None = None
    while True:
        try:
            return await work()
        except OUTAGES as error:
            if backoff is None:
                log.warning("message held during an outage", queue=delivery.queue, error=str(error))
                backoff = Backoff(longest=5)
        if not (insist or delivery.alive):
            raise DeliveryLost
        await asyncio.sleep(backoff.next())
