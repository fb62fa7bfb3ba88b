"""How a notification finds its lane: the exchange it is published to, its routing key, its headers."""

from typing import Final

from tidings_events.notifications.base import BaseNotification, Priority

EXCHANGE: Final = "tidings.notifications"
"""The topic exchange that producers publish to."""

TRACEPARENT: Final = "traceparent"
"""W3C Trace Context, carried through to the delivery."""

PRIORITIES: Final = tuple(Priority)


class Headers:
    """Tidings' own message headers. Producers never set them; names are all lower case."""

    PREFIX: Final = "x-tidings-"
    ATTEMPT: Final = "x-tidings-attempt"
    EPOCH: Final = "x-tidings-epoch"
    FIRST_SEEN: Final = "x-tidings-first-seen"
    REASON: Final = "x-tidings-reason"
    ERROR_CLASS: Final = "x-tidings-error-class"
    ERROR_CODE: Final = "x-tidings-error-code"
    ERROR_MESSAGE: Final = "x-tidings-error-message"
    PROVIDER: Final = "x-tidings-provider"
    WORKER: Final = "x-tidings-worker"
    LETTER: Final = "x-tidings-letter"
    ORIGINAL_HEADERS: Final = "x-tidings-original-headers"


def routing_key(notification: BaseNotification) -> str:
    """`<channel>.<priority>`, e.g. `email.high`."""
    return f"{notification.channel}.{notification.priority}"
