"""Waiting out an outage: what could not be done is done again while the message is still ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from tidings.broker.amqp import Backoff
from tidings.broker.consumer import Delivery
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError, LedgerUnavailable

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Abandoned(Exception):  # named for what happened to the message
    """The broker has taken the message back: whoever gets it next goes on from the ledger."""


async def patiently(delivery: Delivery, work: Callable[[], Awaitable[Result]]) -> Result:
    """Do `work` until it succeeds, or the message is no longer ours.

    Raises:
        Abandoned: The delivery's channel is gone, so the broker delivers it again.
    """
    return await _until_done(delivery, work, lambda: delivery.alive)


async def persistently(delivery: Delivery, work: Callable[[], Awaitable[Result]]) -> Result:
    """Do `work` until it succeeds, whoever has the message by now: it tells what nobody else knows."""
    return await _until_done(delivery, work, lambda: True)


async def _until_done(
    delivery: Delivery, work: Callable[[], Awaitable[Result]], still_ours: Callable[[], bool]
) -> Result:
    backoff = Backoff(longest=5)
    told = False
    while True:
        try:
            return await work()
        except (LedgerUnavailable, BrokerUnavailable, ConfigurationError) as error:
            if not told:
                log.warning(
                    "holding a message until this passes", queue=delivery.queue, error=str(error)
                )
                told = True
        if not still_ours():
            raise Abandoned
        await asyncio.sleep(backoff.next())
