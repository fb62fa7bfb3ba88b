"""The exchange, routing keys and headers of notifications."""

from collections.abc import Mapping
from typing import Final

from tidings_events.notifications.base import BaseNotification, Priority

EXCHANGE: Final = "tidings.notifications"
"""The topic exchange that producers publish to."""

MILLISECONDS: Final = "timestamp_in_ms"
"""The time of publication in milliseconds: AMQP's own timestamp counts seconds. RabbitMQ's interceptor for incoming
messages writes the same header."""

TRACEPARENT: Final = "traceparent"
"""W3C Trace Context, carried through to the delivery."""

PRIORITIES: Final = tuple(Priority)


class Headers:
    """Tidings' own message headers. Producers never set them; names are all lower case."""

    PREFIX: Final = "x-tidings-"
    ATTEMPT: Final = "x-tidings-attempt"
    EPOCH: Final = "x-tidings-epoch"
    FIRST_SEEN: Final = "x-tidings-first-seen"
    TIME_SOURCE: Final = "x-tidings-time-source"
    POSTPONED_SINCE: Final = "x-tidings-postponed-since"
    REASON: Final = "x-tidings-reason"
    ERROR_CLASS: Final = "x-tidings-error-class"
    ERROR_CODE: Final = "x-tidings-error-code"
    ERROR_MESSAGE: Final = "x-tidings-error-message"
    PROVIDER: Final = "x-tidings-provider"
    WORKER: Final = "x-tidings-worker"
    DEAD_LETTER: Final = "x-tidings-dead-letter"
    ORIGINAL_HEADERS: Final = "x-tidings-original-headers"
    PROPERTIES: Final = "x-tidings-properties"
    QUEUE: Final = "x-tidings-queue"
    FORWARDED: Final = "x-tidings-forwarded"


def routing_key(notification: BaseNotification) -> str:
    """`<channel>.<priority>`, e.g. `email.high`."""
    return f"{notification.channel}.{notification.priority}"


def own_headers(headers: Mapping[str, str] | None, traceparent: str | None) -> dict[str, str]:
    """A producer's headers. Raises ValueError if one is Tidings' own."""
    own = dict(headers or {})
    for name in own:
        if name.lower().startswith(Headers.PREFIX):
            raise ValueError(f"the header {name} is Tidings' own; name yours differently")
    if traceparent is not None:
        own[TRACEPARENT] = traceparent
    return own
