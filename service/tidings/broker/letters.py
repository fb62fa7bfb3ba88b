"""Step eight begins here: reads a message of the dead queue, however it came there, as a `Letter`.

    a worker buried it       our headers say why
    it had no lane           the alternate exchange led it here: its exchange is still the producers'
    a lane gave it up        RabbitMQ's `x-death` says why
    somebody published it    straight to the dead letters

Nothing that is read here is trusted and nothing is refused: a letter is kept whatever it says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.broker.burial import (
    LONGEST_MESSAGE,
    LONGEST_WORD,
    letter_id,
    unread_letter_id,
    with_originals,
)
from tidings.broker.consumer import Delivery
from tidings.broker.storable import storable, text_of
from tidings.broker.topology import DELIVERY_LIMIT, PRIORITIES
from tidings.delivery.attempt import HIGHEST_COUNT, Message
from tidings.delivery.letter import Letter, Origin, lane_of
from tidings.delivery.outcome import Failure, Reason
from tidings_events import InvalidNotification, Notification, parse
from tidings_events.routing import EXCHANGE, Headers


@dataclass(frozen=True, slots=True)
class _Cause:
    reason: Reason
    failure: Failure
    origin: Origin


def read_letter(
    delivery: Delivery, *, channels: Sequence[str], now: datetime | None = None
) -> Letter:
    """Read what lies on the dead queue. Raises nothing.

    Args:
        channels: Those that have lanes, to tell whoever missed them.
    """
    now = now or datetime.now(UTC)
    message = delivery.message
    notification = _notification(message.body)
    cause = _cause(delivery, notification, channels)
    epoch, attempt = _count(message, Headers.EPOCH, 0), _count(message, Headers.ATTEMPT, 1)
    tracked = notification is not None and _tracked(cause.origin, message, epoch, attempt)
    epoch, attempt = (epoch or 0, attempt or 1) if tracked else (0, 1)
    return Letter(
        id=_id(message, notification, epoch, tracked=tracked),
        reason=cause.reason,
        failure=cause.failure,
        body=message.body,
        notification=notification,
        lane=lane_of(notification, message.routing_key, channels),
        origin=cause.origin if tracked else Origin.ASTRAY,
        epoch=epoch,
        attempt=attempt,
        first_seen=_moment(message.headers.get(Headers.FIRST_SEEN)) or now,
        buried_at=now,
        exchange=text_of(delivery.exchange, LONGEST_WORD),
        routing_key=text_of(message.routing_key, LONGEST_MESSAGE),
        content_type=text_of(message.content_type, LONGEST_WORD) or None,
        headers=storable(with_originals(message.headers)),
    )


def _notification(body: bytes) -> Notification | None:
    try:
        return parse(body)
    except InvalidNotification:
        return None


def _tracked(origin: Origin, message: Message, epoch: int | None, attempt: int | None) -> bool:
    """Whether this message stood for its notification: our own messages say which epoch they are of."""
    counted = epoch is not None and attempt is not None
    match origin:
        case Origin.WORKER | Origin.NO_LANE:
            return counted and Headers.EPOCH in message.headers
        case Origin.LANE:
            return counted
        case Origin.ASTRAY:
            return False


def _id(message: Message, notification: Notification | None, epoch: int, *, tracked: bool) -> UUID:
    if notification is not None and tracked:
        return letter_id(notification.id, epoch)
    return _uuid(message.headers.get(Headers.LETTER)) or unread_letter_id(message)


def _cause(
    delivery: Delivery, notification: Notification | None, channels: Sequence[str]
) -> _Cause:
    headers = delivery.message.headers
    if delivery.exchange == EXCHANGE:
        return _no_lane(delivery.message.routing_key, channels)
    if (death := _death(headers)) is not None:
        return _given_up(death)
    try:
        return _told(Reason(text_of(headers.get(Headers.REASON), LONGEST_WORD)), headers)
    except ValueError:
        return _astray(delivery.exchange, notification)


def _no_lane(routing_key: str, channels: Sequence[str]) -> _Cause:
    shown = text_of(routing_key, 80)
    message = (
        f"no lane has the key {shown!r}; publish with <channel>.<priority>, "
        f"channel one of {', '.join(channels)}, priority one of {', '.join(PRIORITIES)}"
    )
    return _Cause(Reason.UNROUTABLE, Failure("unroutable", message), Origin.NO_LANE)


def _death(headers: Mapping[str, Any]) -> tuple[str, str] | None:
    """Which queue gave the message up last, and why, as RabbitMQ wrote it."""
    deaths = headers.get("x-death")
    match deaths:
        case [{"queue": str(queue), "reason": str(reason)}, *_]:
            return text_of(queue, LONGEST_WORD), text_of(reason, LONGEST_WORD)
        case _:
            return None


def _given_up(death: tuple[str, str]) -> _Cause:
    queue, why = death
    match why:
        case "delivery_limit":
            reason, said = (
                Reason.DELIVERY_LIMIT,
                f"{queue} handed it out more than {DELIVERY_LIMIT} times and no worker finished with it: "
                "workers crashed or lost their connection over and over",
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


def _told(reason: Reason, headers: Mapping[str, Any]) -> _Cause:
    failure = Failure(
        kind=text_of(headers.get(Headers.ERROR_CLASS), LONGEST_WORD) or "unknown",
        message=text_of(headers.get(Headers.ERROR_MESSAGE), LONGEST_MESSAGE),
        provider=text_of(headers.get(Headers.PROVIDER), LONGEST_WORD),
        code=text_of(headers.get(Headers.ERROR_CODE), LONGEST_WORD),
    )
    return _Cause(reason, failure, Origin.WORKER)


def _astray(exchange: str, notification: Notification | None) -> _Cause:
    where = text_of(exchange, 80) or "the default exchange"
    said = f"published to the dead letters through {where}, and not by Tidings; "
    if notification is None:
        failure = Failure("malformed", f"{said}and its body can't be read as a notification")
        return _Cause(Reason.MALFORMED, failure, Origin.ASTRAY)
    failure = Failure("unroutable", f"{said}publish it to {EXCHANGE}")
    return _Cause(Reason.UNROUTABLE, failure, Origin.ASTRAY)


def _count(message: Message, name: str, lowest: int) -> int | None:
    """A count from our own headers, the lowest where it is not given, None where it is forged."""
    value = message.headers.get(name, lowest)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if lowest <= value <= HIGHEST_COUNT else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return moment if 2000 < moment.year < 3000 else None  # others don't fit PostgreSQL's arithmetic


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
