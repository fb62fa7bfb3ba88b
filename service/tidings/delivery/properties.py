"""A message's AMQP properties as its producer set them: they name the producer.

Messages that Tidings publishes have its own properties. The producer's are kept in a header, as text:
RabbitMQ accepts a `user_id` from that user only.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tidings_events.routing import Headers

if TYPE_CHECKING:
    from tidings.delivery.attempt import Message

KEPT: Final = (
    *("app_id", "user_id", "message_id", "correlation_id", "type"),
    *("content_encoding", "timestamp", "expiration"),
)
"""In the order in which they are shown."""
SIGNATURES: Final = frozenset(KEPT[:2])
"""Those by which a producer names itself."""
LONGEST: Final = 255


def properties_of(message: "Message") -> dict[str, str] | None:
    """The producer's properties; None if they are lost: an earlier version or a person republished it."""
    further = message.further or {}
    if _by_us(message):
        return _unpacked(message.headers.get(Headers.PROPERTIES))
    published_at = message.published_at or message.timestamp
    own = {
        **further,
        "message_id": message.message_id,
        "content_encoding": message.content_encoding,
        "timestamp": published_at.isoformat() if published_at else None,
    }
    return _fit(own)


def properties_header(message: "Message") -> dict[str, str]:
    """The header that keeps a message's properties; empty if it has none."""
    properties = properties_of(message)
    return {Headers.PROPERTIES: json.dumps(properties, ensure_ascii=False)} if properties else {}


def producer(properties: Mapping[str, str] | None) -> str:
    """The producer's own names, e.g. `app_id 'shop', user_id 'guest'`."""
    named = [f"{name} {value!r}" for name in KEPT[:2] if (value := (properties or {}).get(name))]
    return ", ".join(named) or "a producer that names itself by neither app_id nor user_id"


def producer_of(message: "Message") -> str | None:
    """The first publisher of a message, as shown in the notification's history; None if not known."""
    return signed(
        _unpacked(message.headers.get(Headers.PROPERTIES)) if _by_us(message) else message.further
    )


def signed(properties: Mapping[str, object] | None) -> str | None:
    """The producer named in these properties: `shop`, `shop (user guest)`, `user guest`."""
    if not properties or SIGNATURES.isdisjoint(properties):
        return None
    app, user = _text(properties.get("app_id")), _text(properties.get("user_id"))
    if app and user:
        return f"{app} (user {user})"
    return app or (f"user {user}" if user else None)


def _by_us(message: "Message") -> bool:
    """Whether Tidings set its properties: RabbitMQ lets no other user set our `user_id`."""
    by_us = message.ours or Headers.REASON in message.headers
    return by_us and "user_id" not in (message.further or {})


def _unpacked(header: object) -> dict[str, str] | None:
    try:
        properties = json.loads(header) if isinstance(header, str) else None
    except (ValueError, RecursionError):
        return None
    return _fit(properties) if isinstance(properties, dict) else None


def _fit(properties: Mapping[str, object]) -> dict[str, str]:
    """The kept properties, as text that AMQP and PostgreSQL both accept."""
    return {name: text for name in KEPT if (text := _text(properties.get(name)))}


def _text(value: object) -> str:
    """Empty if it is not text."""
    if not isinstance(value, str):
        return ""
    whole = value[:LONGEST].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return whole.encode("utf-8", "replace").decode()
