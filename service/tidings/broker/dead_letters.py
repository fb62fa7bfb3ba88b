"""Step eight begins here: reads a message of the dead-letter queue, however it came there, as a `DeadLetter`.

    published by a worker    our headers have the reason
    without a lane           through the alternate exchange: its exchange is still the producers'
    dead-lettered by a lane  RabbitMQ's `x-death` has the reason
    moved                    it is ours but has no reason: a person or a shovel took it out of a queue
    published by a client    straight to the dead-letter queue

Nothing that is read here is trusted and nothing is refused: a dead letter is kept whatever its content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tidings.broker.dead_letter_headers import (
    LONGEST_MESSAGE,
    LONGEST_WORD,
    DeadLetterHeaders,
    dead_letter_id,
    dead_letter_in,
    queue_in,
    unread_dead_letter_id,
    with_originals,
)
from tidings.broker.storable import storable, text_of
from tidings.broker.topology.layout import DELIVERY_LIMIT, PRIORITIES
from tidings.delivery.attempt import Message
from tidings.delivery.dead_letter import DeadLetter, Origin, lane_of
from tidings.delivery.large_content import without_content
from tidings.delivery.outcome import Failure, Reason
from tidings.delivery.ports import Delivery
from tidings.delivery.properties import properties_of
from tidings.delivery.search_fields import NO_SEARCH_FIELDS, read_search_fields
from tidings_events import InvalidNotification, Notification, parse
from tidings_events.routing import EXCHANGE, Headers


@dataclass(frozen=True, slots=True)
class _Cause:
    reason: Reason
    failure: Failure
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Death:
    queue: str
    why: str
    expiration: str
    """The message's own expiration in milliseconds; RabbitMQ moves it from the property to `x-death`."""


def read_dead_letter(
    delivery: Delivery, *, channels: Sequence[str], now: datetime | None = None
) -> DeadLetter:
    """Read a message of the dead-letter queue. Raises nothing.

    Args:
        channels: Channels with lanes, for the error of a message without one.
    """
    now = now or datetime.now(UTC)
    message = delivery.message
    notification = _notification(message.body)
    ours = DeadLetterHeaders.of(message.headers)
    counted = ours.epoch is not None and ours.attempt is not None
    cause = _cause(delivery, ours, notification, channels, ours=counted and message.ours)
    unread = NO_SEARCH_FIELDS if notification is not None else read_search_fields(message.body)
    about = unread.id if notification is None else notification.id
    tracked = about is not None and counted and _tracked(cause.origin, message)
    epoch, attempt = (ours.epoch or 0, ours.attempt or 1) if tracked else (0, 1)
    return DeadLetter(
        id=dead_letter_id(about, epoch)
        if about is not None and tracked
        else ours.dead_letter or unread_dead_letter_id(message),
        reason=cause.reason,
        failure=cause.failure,
        body=message.body,
        notification=notification and without_content(notification, message.body),
        lane=lane_of(notification, ours.queue or message.routing_key, channels, unread),
        origin=cause.origin if tracked else Origin.ASTRAY,
        epoch=epoch,
        attempt=attempt,
        first_seen=ours.first_seen or now,
        dead_lettered_at=now,
        exchange=text_of(delivery.exchange, LONGEST_WORD),
        routing_key=text_of(message.routing_key, LONGEST_MESSAGE),
        content_type=text_of(message.content_type, LONGEST_WORD) or None,
        headers=storable(
            with_originals(
                {
                    name: value
                    for name, value in message.headers.items()
                    if name != Headers.PROPERTIES
                }
            )
        ),
        properties=_with_expiration(properties_of(message), message.headers),
        unread=unread,
    )


def source_of(headers: Mapping[str, Any], routing_key: str) -> str:
    """The queue that a dead letter came from, without `tidings.`, or its routing key if no queue is known.

    A dead letter that a worker published has its lane's key.
    """
    death = _death(headers)
    queue = queue_in(headers) or (death.queue if death else "")
    return (queue or routing_key).removeprefix("tidings.")


def dead_letter_of_bytes(delivery: Delivery, error: Exception) -> DeadLetter:
    """A dead letter with its body alone: reading it failed because of a fault in Tidings."""
    message, now = delivery.message, datetime.now(UTC)
    text = f"reading it failed with {type(error).__name__}, a fault of Tidings: the archive's log has the traceback"
    return DeadLetter(
        id=dead_letter_in(message.headers) or unread_dead_letter_id(message),
        reason=Reason.MALFORMED,
        failure=Failure("unread", text),
        body=message.body,
        notification=None,
        lane=None,
        origin=Origin.ASTRAY,
        epoch=0,
        attempt=1,
        first_seen=now,
        dead_lettered_at=now,
        exchange="",
        routing_key="",
        content_type=None,
        headers={},
    )


def _notification(body: bytes) -> Notification | None:
    try:
        return parse(body)
    except InvalidNotification:
        return None


def _tracked(origin: Origin, message: Message) -> bool:
    """Whether this message carried its notification: our own messages have its epoch."""
    match origin:
        case Origin.WORKER | Origin.NO_LANE | Origin.MOVED:
            return message.ours
        case Origin.LANE:
            return True
        case Origin.ASTRAY:
            return False


def _with_expiration(
    properties: dict[str, str] | None, headers: Mapping[str, object]
) -> dict[str, str] | None:
    """RabbitMQ moves an expiration that ran out from the properties to `x-death`."""
    death = _death(headers)
    if death is None or not death.expiration:
        return properties
    return {**(properties or {}), "expiration": death.expiration}


def _cause(
    delivery: Delivery,
    own: DeadLetterHeaders,
    notification: Notification | None,
    channels: Sequence[str],
    *,
    ours: bool,
) -> _Cause:
    headers = delivery.message.headers
    if delivery.exchange == EXCHANGE:
        return _no_lane(delivery.message, channels)
    if (death := _death(headers)) is not None:
        return _dead_lettered(death, notification)
    if own.reason is not None:
        return _Cause(own.reason, own.failure, Origin.WORKER)
    return _moved(delivery.exchange) if ours else _astray(delivery.exchange, notification)


def _no_lane(message: Message, channels: Sequence[str]) -> _Cause:
    shown = text_of(message.routing_key, 80)
    if _waited_in(message.headers) == message.routing_key:
        text = (
            f"it was moved by hand into {shown}, from which no binding leads to a lane; "
            "move messages to lanes, e.g. tidings.email.normal"
        )
    else:
        text = (
            f"no lane has the key {shown!r}; publish with <channel>.<priority>, "
            f"channel one of {', '.join(channels)}, priority one of {', '.join(PRIORITIES)}"
        )
    return _Cause(Reason.UNROUTABLE, Failure("unroutable", text), Origin.NO_LANE)


def _waited_in(headers: Mapping[str, Any]) -> str | None:
    """The queue in which its TTL ran out last; a message that was moved there by hand has its name as key."""
    match headers.get("x-death"):
        case [{"queue": str(queue), "reason": "expired"}, *_]:
            return queue
        case _:
            return None


def _death(headers: Mapping[str, Any]) -> _Death | None:
    """The lane that dead-lettered the message last, and RabbitMQ's reason.

    A retry queue in `x-death` is none: the message waited there and continued to its lane.
    """
    match headers.get("x-death"):
        case [{"queue": str(queue), "reason": str(reason), **more}, *_] if ".retry." not in queue:
            queue, reason = text_of(queue, LONGEST_WORD), text_of(reason, LONGEST_WORD)
            return _Death(queue, reason, text_of(more.get("original-expiration"), LONGEST_WORD))
        case _:
            return None


def _dead_lettered(death: _Death, notification: Notification | None) -> _Cause:
    """A copy in another channel's lane ends no notification: the original may be in its own lane."""
    cause = _broker_cause(death)
    strange = notification is not None and not death.queue.startswith(
        f"tidings.{notification.channel}."
    )
    return replace(cause, origin=Origin.ASTRAY) if strange else cause


def _broker_cause(death: _Death) -> _Cause:
    queue, why = death.queue, death.why
    match why:
        case "delivery_limit":
            reason, text = (
                Reason.DELIVERY_LIMIT,
                f"it was returned to {queue} more than {DELIVERY_LIMIT} times without being settled: "
                "workers crashed or lost their connections repeatedly",
            )
        case "expired" if death.expiration:
            reason, text = (
                Reason.EXPIRED,
                f"its AMQP expiration of {death.expiration}ms ran out in {queue} before a worker received it; "
                "its producer sets that property: use expires_at in the body instead, which is recorded",
            )
        case "expired":
            reason, text = Reason.EXPIRED, f"it waited in {queue} longer than a policy there allows"
        case "rejected":
            reason, text = (
                Reason.REJECTED,
                f"a client rejected it in {queue} without requeueing it",
            )
        case _:
            reason, text = Reason.REJECTED, f"RabbitMQ dead-lettered it in {queue}: {why}"
    return _Cause(reason, Failure(f"broker_{why}"[:LONGEST_WORD], text), Origin.LANE)


def _moved(exchange: str) -> _Cause:
    where = text_of(exchange, 80) or "the default exchange"
    text = (
        f"moved from its queue to the dead-letter queue through {where}, by hand or by a shovel; "
        "no worker had failed to deliver it"
    )
    return _Cause(Reason.REJECTED, Failure("moved", text), Origin.MOVED)


def _astray(exchange: str, notification: Notification | None) -> _Cause:
    where = text_of(exchange, 80) or "the default exchange"
    text = f"published to the dead-letter queue through {where}, and not by Tidings; "
    if notification is None:
        failure = Failure("malformed", f"{text}its body can't be read as a notification")
        return _Cause(Reason.MALFORMED, failure, Origin.ASTRAY)
    failure = Failure("unroutable", f"{text}publish it to {EXCHANGE}")
    return _Cause(Reason.UNROUTABLE, failure, Origin.ASTRAY)
