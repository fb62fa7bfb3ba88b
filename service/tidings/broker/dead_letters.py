"""Step eight begins here: reads a message of the dead queue, however it came there, as a `DeadLetter`.

    a worker gave it up       our headers say why
    it had no lane           the alternate exchange led it here: its exchange is still the producers'
    a lane gave it up        RabbitMQ's `x-death` says why
    somebody moved it        it is one of ours, and nobody says why: a person or a shovel took it out of a queue
    somebody published it    straight to the dead letters

Nothing that is read here is trusted and nothing is refused: a dead letter is kept whatever it says.
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
    """Milliseconds, as the message itself allowed them; RabbitMQ takes the property off and notes it."""


def read_dead_letter(
    delivery: Delivery, *, channels: Sequence[str], now: datetime | None = None
) -> DeadLetter:
    """Read what lies on the dead queue. Raises nothing.

    Args:
        channels: Those that have lanes, to tell whoever missed them.
    """
    now = now or datetime.now(UTC)
    message = delivery.message
    notification = _notification(message.body)
    said = DeadLetterHeaders.of(message.headers)
    counted = said.epoch is not None and said.attempt is not None
    cause = _cause(delivery, said, notification, channels, ours=counted and message.ours)
    unread = NO_SEARCH_FIELDS if notification is not None else read_search_fields(message.body)
    about = unread.id if notification is None else notification.id
    tracked = about is not None and counted and _tracked(cause.origin, message)
    epoch, attempt = (said.epoch or 0, said.attempt or 1) if tracked else (0, 1)
    return DeadLetter(
        id=dead_letter_id(about, epoch)
        if about is not None and tracked
        else said.dead_letter or unread_dead_letter_id(message),
        reason=cause.reason,
        failure=cause.failure,
        body=message.body,
        notification=notification and without_content(notification, message.body),
        lane=lane_of(notification, said.queue or message.routing_key, channels, unread),
        origin=cause.origin if tracked else Origin.ASTRAY,
        epoch=epoch,
        attempt=attempt,
        first_seen=said.first_seen or now,
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


def came_by(headers: Mapping[str, Any], routing_key: str) -> str:
    """The queue that a dead letter lay in, without its `tidings.`, or the key it was published with where none is known.

    What a worker gave up has the key of its lane.
    """
    death = _death(headers)
    queue = queue_in(headers) or (death.queue if death else "")
    return (queue or routing_key).removeprefix("tidings.")


def dead_letter_of_bytes(delivery: Delivery, error: Exception) -> DeadLetter:
    """A dead letter of which nothing was read but its bytes, since reading it failed for a fault of our own."""
    message, now = delivery.message, datetime.now(UTC)
    said = f"reading it failed with {type(error).__name__}, a fault of Tidings: the archive's log has the traceback"
    return DeadLetter(
        id=dead_letter_in(message.headers) or unread_dead_letter_id(message),
        reason=Reason.MALFORMED,
        failure=Failure("unread", said),
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
    """Whether this message stood for its notification: our own messages say which epoch they are of."""
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
    """RabbitMQ takes an expiration off where it ran out, and notes it beside the queue."""
    death = _death(headers)
    if death is None or not death.expiration:
        return properties
    return {**(properties or {}), "expiration": death.expiration}


def _cause(
    delivery: Delivery,
    said: DeadLetterHeaders,
    notification: Notification | None,
    channels: Sequence[str],
    *,
    ours: bool,
) -> _Cause:
    headers = delivery.message.headers
    if delivery.exchange == EXCHANGE:
        return _no_lane(delivery.message, channels)
    if (death := _death(headers)) is not None:
        return _given_up(death, notification)
    if said.reason is not None:
        return _Cause(said.reason, said.failure, Origin.WORKER)
    return _moved(delivery.exchange) if ours else _astray(delivery.exchange, notification)


def _no_lane(message: Message, channels: Sequence[str]) -> _Cause:
    shown = text_of(message.routing_key, 80)
    if _waited_in(message.headers) == message.routing_key:
        said = (
            f"it was moved by hand into {shown}, out of which no way leads to a lane; "
            "move messages to lanes, e.g. tidings.email.normal"
        )
    else:
        said = (
            f"no lane has the key {shown!r}; publish with <channel>.<priority>, "
            f"channel one of {', '.join(channels)}, priority one of {', '.join(PRIORITIES)}"
        )
    return _Cause(Reason.UNROUTABLE, Failure("unroutable", said), Origin.NO_LANE)


def _waited_in(headers: Mapping[str, Any]) -> str | None:
    """The queue whose time ran out last: moved into one by its name, a message still has that for its key."""
    match headers.get("x-death"):
        case [{"queue": str(queue), "reason": "expired"}, *_]:
            return queue
        case _:
            return None


def _death(headers: Mapping[str, Any]) -> _Death | None:
    """Which lane gave the message up last, and why, as RabbitMQ wrote it.

    Where a retry queue is named it had only waited there, and went on to its lane.
    """
    match headers.get("x-death"):
        case [{"queue": str(queue), "reason": str(reason), **more}, *_] if ".retry." not in queue:
            queue, reason = text_of(queue, LONGEST_WORD), text_of(reason, LONGEST_WORD)
            return _Death(queue, reason, text_of(more.get("original-expiration"), LONGEST_WORD))
        case _:
            return None


def _given_up(death: _Death, notification: Notification | None) -> _Cause:
    """A copy in another channel's lane is nobody's end: the good one may be in its own lane."""
    cause = _why_given_up(death)
    strange = notification is not None and not death.queue.startswith(
        f"tidings.{notification.channel}."
    )
    return replace(cause, origin=Origin.ASTRAY) if strange else cause


def _why_given_up(death: _Death) -> _Cause:
    queue, why = death.queue, death.why
    match why:
        case "delivery_limit":
            reason, said = (
                Reason.DELIVERY_LIMIT,
                f"{queue} handed it out more than {DELIVERY_LIMIT} times and no worker finished with it: "
                "workers crashed or lost their connection over and over",
            )
        case "expired" if death.expiration:
            reason, said = (
                Reason.EXPIRED,
                f"its own AMQP expiration of {death.expiration}ms ran out in {queue} before a worker took it; "
                "its producer sets that property: expires_at in the body says the same, and is recorded",
            )
        case "expired":
            reason, said = Reason.EXPIRED, f"it waited in {queue} longer than a policy there allows"
        case "rejected":
            reason, said = (
                Reason.REJECTED,
                f"somebody took it out of {queue} without putting it back",
            )
        case _:
            reason, said = Reason.REJECTED, f"RabbitMQ took it out of {queue}: {why}"
    return _Cause(reason, Failure(f"broker_{why}"[:LONGEST_WORD], said), Origin.LANE)


def _moved(exchange: str) -> _Cause:
    where = text_of(exchange, 80) or "the default exchange"
    said = (
        f"taken out of its queue and published to the dead letters through {where}, by hand or by a shovel; "
        "nobody gave it up before"
    )
    return _Cause(Reason.REJECTED, Failure("moved", said), Origin.MOVED)


def _astray(exchange: str, notification: Notification | None) -> _Cause:
    where = text_of(exchange, 80) or "the default exchange"
    said = f"published to the dead letters through {where}, and not by Tidings; "
    if notification is None:
        failure = Failure("malformed", f"{said}and its body can't be read as a notification")
        return _Cause(Reason.MALFORMED, failure, Origin.ASTRAY)
    failure = Failure("unroutable", f"{said}publish it to {EXCHANGE}")
    return _Cause(Reason.UNROUTABLE, failure, Origin.ASTRAY)
