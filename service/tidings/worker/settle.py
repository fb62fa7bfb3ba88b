"""Settles messages: publish to a retry queue or the DLQ, wait for the confirm, then acknowledge."""

from datetime import datetime
from typing import Final

from tidings.broker import dead_letter_headers
from tidings.broker.topology.layout import DEAD, RETRY, lane_at, retry_key
from tidings.delivery.arrival import Arrival, TimeSource
from tidings.delivery.attempt import Attempt, Lane, Message
from tidings.delivery.delay import Delay
from tidings.delivery.errors import MalformedNotification, Postponed
from tidings.delivery.outcome import Failure, Outcome, RetryLater, Sent, Undeliverable
from tidings.delivery.ports import Delivery, Publisher
from tidings.delivery.properties import properties_header
from tidings.worker.outages import retry_outages
from tidings_events.routing import EXCHANGE, TRACEPARENT, Headers

KEPT: Final = (
    *(
        Headers.ATTEMPT,
        Headers.EPOCH,
        Headers.FIRST_SEEN,
        Headers.TIME_SOURCE,
        Headers.POSTPONED_SINCE,
    ),
    TRACEPARENT,
)
"""The headers that a postponed message keeps; no others are copied."""


class Settler:
    """Settles messages according to the outcomes of their attempts.

    Args:
        worker: The worker's name in dead letters.
    """

    def __init__(self, publisher: Publisher, *, worker: str) -> None:
        self._publisher = publisher
        self._worker = worker

    async def settle(self, delivery: Delivery, attempt: Attempt, outcome: Outcome) -> None:
        """Publish if necessary, wait for the confirm, acknowledge.

        Raises:
            DeliveryLost: RabbitMQ delivers the message again.
        """
        match outcome:
            case Sent():
                delivery.ack()
            case RetryLater(delay=delay, next_attempt=number, failure=failure):
                await self._publish(
                    delivery,
                    RETRY,
                    retry_key(attempt.lane, delay),
                    attempt.body,
                    {**_headers(attempt, number), **_still_postponed(attempt, failure)},
                )
            case Undeliverable():
                headers = dead_letter_headers.headers_of(attempt, outcome, self._worker)
                await self._publish(delivery, DEAD, attempt.lane.key, attempt.body, headers)

    async def dead_letter_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """Send an unreadable message to the DLQ, bytes intact. Raises like `settle`."""
        message = delivery.message
        headers = dead_letter_headers.headers_of_unread(
            message, error, self._worker, delivery.queue
        )
        await self._publish(
            delivery,
            DEAD,
            message.routing_key,
            message.body,
            headers,
            content_type=message.content_type,
        )

    async def postpone(
        self, delivery: Delivery, delay: Delay, seen: Arrival, postponed: datetime | None = None
    ) -> None:
        """Postpone it to a retry queue without spending an attempt. Raises like `settle`.

        Args:
            seen: Since when it waits: its age is kept.
            postponed: Since when it is postponed because of its receiver.
        """
        message, key = delivery.message, retry_key(lane_at(delivery.queue), delay)
        headers = {
            **_arrival_headers(seen.at, seen.source),
            **_kept_headers(message),
            **_postponed(postponed),
        }
        await self._publish(
            delivery, RETRY, key, message.body, headers, content_type=message.content_type
        )

    async def forward(self, delivery: Delivery, channel: str) -> None:
        """Send it to the lane of its own channel, with the priority of the one it is in. Raises like `settle`.

        Once only: if a queue is bound to another channel's key by mistake, each copy would produce two.
        """
        message, lane = delivery.message, Lane(channel, lane_at(delivery.queue).priority)
        headers = {**_kept_headers(message), Headers.FORWARDED: 1}
        await self._publish(
            delivery, EXCHANGE, lane.key, message.body, headers, content_type=message.content_type
        )

    async def _publish(
        self,
        delivery: Delivery,
        exchange: str,
        key: str,
        body: bytes,
        headers: dict[str, str | int],
        *,
        content_type: str | None = None,
    ) -> None:
        headers = {**headers, **properties_header(delivery.message)}
        written_as = _short(content_type or "application/json")
        await retry_outages(
            delivery,
            lambda: self._publisher.publish(exchange, _short(key), body, headers, written_as),
        )
        delivery.ack()


def _short(text: str) -> str:
    """As many bytes as an AMQP short string holds: text that was not UTF-8 has grown in decoding."""
    return text.encode("utf-8", "replace")[:255].decode("utf-8", "ignore")


def _headers(attempt: Attempt, number: int) -> dict[str, str | int]:
    headers: dict[str, str | int] = {
        Headers.ATTEMPT: number,
        Headers.EPOCH: attempt.epoch,
        **_arrival_headers(attempt.first_seen, attempt.time_source),
    }
    if attempt.traceparent:
        headers[TRACEPARENT] = attempt.traceparent
    return headers


def _postponed(since: datetime | None) -> dict[str, str]:
    return (
        {} if since is None else {Headers.POSTPONED_SINCE: since.isoformat(timespec="milliseconds")}
    )


def _still_postponed(attempt: Attempt, failure: Failure) -> dict[str, str]:
    """The header while the notification is still postponed; a request to its receiver ends that, and so does a replay."""
    return _postponed(attempt.postponed_since) if failure.kind == Postponed.kind else {}


def _kept_headers(message: Message) -> dict[str, str | int]:
    """Headers to keep, always with those that mark a message of Tidings: if it is moved by hand, it is recognised."""
    first: dict[str, str | int] = {Headers.EPOCH: 0, Headers.ATTEMPT: 1}
    return first | {
        name: value for name in KEPT if isinstance(value := message.headers.get(name), str | int)
    }


def _arrival_headers(seen: datetime, source: TimeSource | None) -> dict[str, str | int]:
    headers: dict[str, str | int] = {Headers.FIRST_SEEN: seen.isoformat(timespec="milliseconds")}
    return headers if source is None else {**headers, Headers.TIME_SOURCE: source.value}
