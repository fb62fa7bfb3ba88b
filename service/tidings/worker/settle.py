"""Steps six and seven: pass on what failed, wait for the confirm, and only then acknowledge."""

from datetime import datetime
from typing import Final

from tidings.broker import burial
from tidings.broker.consumer import Delivery
from tidings.broker.publisher import Publisher
from tidings.broker.topology import DEAD, RETRY, tier_key
from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.delay import Delay
from tidings.delivery.errors import MalformedNotification
from tidings.delivery.outcome import Outcome, RetryLater, Sent, Undeliverable
from tidings.worker.patience import patiently
from tidings_events.routing import TRACEPARENT, Headers

CARRIED: Final = (Headers.ATTEMPT, Headers.EPOCH, Headers.FIRST_SEEN, TRACEPARENT)
"""What a message takes along when it waits a turn; nothing else is ever copied."""


class Settler:
    """Settles deliveries by what became of their attempts.

    Args:
        worker: Named in the dead letters.
    """

    def __init__(self, publisher: Publisher, *, worker: str) -> None:
        self._publisher = publisher
        self._worker = worker

    async def settle(self, delivery: Delivery, attempt: Attempt, outcome: Outcome) -> None:
        """Pass on, confirm, ack.

        Raises:
            Abandoned: The broker took the message back meanwhile, and delivers it again.
        """
        match outcome:
            case Sent():
                delivery.ack()
            case RetryLater(delay=delay, next_attempt=number):
                await self._publish(
                    delivery,
                    RETRY,
                    tier_key(attempt.lane, delay),
                    attempt.body,
                    _headers(attempt, number),
                )
            case Undeliverable():
                headers = burial.headers_of(attempt, outcome, self._worker)
                await self._publish(delivery, DEAD, attempt.lane.key, attempt.body, headers)

    async def bury_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """What can't be read goes to the dead letters, bytes intact. Raises like `settle`."""
        message = delivery.message
        headers = burial.headers_of_unread(message, error, self._worker)
        await self._publish(
            delivery,
            DEAD,
            message.routing_key,
            message.body,
            headers,
            content_type=message.content_type,
        )

    async def park(self, delivery: Delivery, tier: Delay) -> None:
        """Let it wait in a tier without spending an attempt. Raises like `settle`."""
        message = delivery.message
        channel, priority, *_ = [*message.routing_key.split("."), ""]
        key = f"{channel}.{priority}.{tier.name}"
        await self._publish(
            delivery, RETRY, key, message.body, _carried(message), content_type=message.content_type
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
        written_as = _short(content_type or "application/json")
        await patiently(
            delivery,
            lambda: self._publisher.publish(exchange, _short(key), body, headers, written_as),
        )
        delivery.ack()


def _short(text: str) -> str:
    """As much as AMQP takes, which counts bytes: what was not UTF-8 has grown when it was read."""
    return text.encode("utf-8", "replace")[:255].decode("utf-8", "ignore")


def _headers(attempt: Attempt, number: int) -> dict[str, str | int]:
    headers: dict[str, str | int] = {
        Headers.ATTEMPT: number,
        Headers.EPOCH: attempt.epoch,
        Headers.FIRST_SEEN: _written(attempt.first_seen),
    }
    if attempt.traceparent:
        headers[TRACEPARENT] = attempt.traceparent
    return headers


def _carried(message: Message) -> dict[str, str | int]:
    return {
        name: value for name in CARRIED if isinstance(value := message.headers.get(name), str | int)
    }


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
