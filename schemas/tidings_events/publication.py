"""A notification as an AMQP message: body, routing key, headers, properties."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pamqp import commands

from tidings_events.errors import NotConfirmed, Unroutable
from tidings_events.notifications import Notification
from tidings_events.routing import EXCHANGE, MILLISECONDS, own_headers, routing_key

REFUSED: Final = "the broker refused it: "
NO_QUEUE: Final = "no queue is bound for "
BROKER_REASONS: Final = (REFUSED, NO_QUEUE)
"""Beginnings of the reasons for which a message was not published, and which name none of its values."""
_PERSISTENT: Final = 2
_LONGEST_SHORT_STRING: Final = 255
"""Bytes (AMQP 0-9-1, 4.2.5.3)."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A notification as an AMQP message."""

    id: str
    body: bytes
    routing_key: str
    headers: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    app_id: str | None = None
    written_at: int | None = None
    """When the producer wrote it, in milliseconds of Unix, if that was before it is published."""

    def properties(self) -> commands.Basic.Properties:
        """New properties for each publish: aiormq identifies returned messages by `message_id`."""
        now = time.time_ns() // 1_000_000 if self.written_at is None else self.written_at
        return commands.Basic.Properties(
            content_type="application/json",
            delivery_mode=_PERSISTENT,
            message_id=uuid.uuid4().hex,
            correlation_id=self.id,
            timestamp=datetime.fromtimestamp(now / 1000, UTC),
            app_id=self.app_id,
            headers={MILLISECONDS: now, **self.headers},
        )


def publication_of(
    notification: Notification,
    headers: Mapping[str, str] | None,
    traceparent: str | None,
    app_id: str | None,
) -> OutgoingMessage:
    """The message of a notification. Raises ValueError for a header of Tidings' own."""
    key, own = routing_key(notification), own_headers(headers, traceparent)
    return OutgoingMessage(str(notification.id), notification.to_json(), key, own, app_id)


def check_app_id(app_id: str | None) -> None:
    """Raises ValueError if it is longer than AMQP allows."""
    if app_id is not None and len(app_id.encode()) > _LONGEST_SHORT_STRING:
        raise ValueError("the app_id has more than 255 bytes, the most that AMQP allows")


def no_queue(key: str) -> Unroutable:
    """No queue is bound for this routing key."""
    return Unroutable(f"{NO_QUEUE}{key}; does Tidings run on this virtual host?")


def no_exchange() -> Unroutable:
    """Tidings has declared nothing here."""
    return Unroutable(f"there is no exchange {EXCHANGE}; does Tidings run on this virtual host?")


def lane_full(key: str) -> NotConfirmed:
    """The broker has taken it, and does not keep it."""
    return NotConfirmed(
        f"{REFUSED}the lane {key} is full, or just starting; "
        "publish it again later with the same id"
    )
