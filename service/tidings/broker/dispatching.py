"""Publishes notifications of the outbox: due, replayed, or without a message."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol, TypeVar
from uuid import UUID

import structlog

from tidings.broker.dead_letter_headers import headers_of
from tidings.broker.topology.layout import DEAD
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import BrokerUnavailable
from tidings.delivery.outcome import Undeliverable
from tidings.delivery.ports import Publisher
from tidings_events.routing import EXCHANGE, TRACEPARENT, Headers

log = structlog.get_logger(__name__)

AT_ONCE: Final = 250
"""Most unconfirmed messages."""


class Dispatchable(Protocol):
    """A notification to publish to its lane or, once it has ended, to the dead-letter queue."""

    @property
    def id(self) -> UUID: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def epoch(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def end(self) -> Undeliverable | None: ...
    @property
    def first_seen(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...
    @property
    def body(self) -> bytes: ...


Dispatched = TypeVar("Dispatched", bound=Dispatchable)


async def publish_dispatches(
    publisher: Publisher, dispatches: Sequence[Dispatched], *, by: str = "", at_once: int = AT_ONCE
) -> list[Dispatched]:
    """Publish each and return those that were confirmed.

    The others may be in their queues too; they stay in the outbox and are published again.

    Args:
        by: The actor, for dead letters.

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
                await _publish(publisher, dispatch, by)
                confirmed.append(dispatch)
            except BrokerUnavailable as error:
                errors.append(error)

    waiting = iter(dispatches)
    await asyncio.gather(*(publish(waiting) for _ in range(min(at_once, len(dispatches)))))
    if errors and not confirmed:
        raise errors[0]
    if errors:
        left = len(dispatches) - len(confirmed)
        log.warning("messages not confirmed", error=str(errors[0]), unconfirmed=left)
    return confirmed


async def _publish(publisher: Publisher, dispatch: Dispatchable, by: str) -> None:
    if dispatch.end is not None:
        dead_letter_headers = headers_of(dispatch, dispatch.end, by)
        await publisher.publish(DEAD, dispatch.lane.key, dispatch.body, dead_letter_headers)
        return
    headers: dict[str, str | int] = {
        Headers.EPOCH: dispatch.epoch,
        Headers.ATTEMPT: dispatch.number,
        Headers.FIRST_SEEN: dispatch.first_seen.isoformat(),
    }
    if dispatch.traceparent is not None:
        headers[TRACEPARENT] = dispatch.traceparent
    await publisher.publish(EXCHANGE, dispatch.lane.key, dispatch.body, headers)
