"""Publishes what the outbox holds: notifications that came due, and letters that are replayed."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar

import structlog

from tidings.broker.publisher import Publisher
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import BrokerUnavailable
from tidings_events.routing import EXCHANGE, TRACEPARENT, Headers

log = structlog.get_logger(__name__)

AT_ONCE: Final = 250
"""Messages published and not yet confirmed."""


class Dispatch(Protocol):
    """A notification to publish to its lane, at the beginning of an epoch."""

    @property
    def lane(self) -> Lane: ...
    @property
    def epoch(self) -> int: ...
    @property
    def first_seen(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def body(self) -> bytes: ...


Dispatched = TypeVar("Dispatched", bound=Dispatch)


async def publish_dispatches(
    publisher: Publisher, dispatches: Sequence[Dispatched], *, at_once: int = AT_ONCE
) -> list[Dispatched]:
    """Publish each to its lane and return those that were confirmed.

    The others may have landed all the same; they stay in the outbox and are published again.

    Raises:
        BrokerUnavailable: None was confirmed.
    """
    confirmed: list[Dispatched] = []
    errors: list[BrokerUnavailable] = []

    async def publish(waiting: Iterator[Dispatched]) -> None:
        for dispatch in waiting:
            if errors and not confirmed:
                return  # the broker is away; one full lane would not hold up the others
            try:
                await _publish(publisher, dispatch)
                confirmed.append(dispatch)
            except BrokerUnavailable as error:
                errors.append(error)

    waiting = iter(dispatches)
    await asyncio.gather(*(publish(waiting) for _ in range(min(at_once, len(dispatches)))))
    if errors and not confirmed:
        raise errors[0]
    if errors:
        left = len(dispatches) - len(confirmed)
        log.warning("not all were confirmed", error=str(errors[0]), unconfirmed=left)
    return confirmed


async def _publish(publisher: Publisher, dispatch: Dispatch) -> None:
    headers: dict[str, str | int] = {
        Headers.EPOCH: dispatch.epoch,
        Headers.ATTEMPT: 1,
        Headers.FIRST_SEEN: dispatch.first_seen.isoformat(),
    }
    if dispatch.traceparent is not None:
        headers[TRACEPARENT] = dispatch.traceparent
    await publisher.publish(EXCHANGE, dispatch.lane.key, dispatch.body, headers)
