"""Notifications, messages and attempts for the tests, plain unless they say otherwise."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tidings.delivery.attempt import Attempt, Lane, Message, read
from tidings_events import parse

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def body_of(**fields: Any) -> bytes:
    """An email as a foreign producer writes it; a field that is None is left out."""
    written: dict[str, Any] = {
        "id": str(uuid4()),
        "version": 1,
        "channel": "email",
        "recipient": "ada@example.com",
        "subject": "Hello",
        "body": "How are you?",
        **fields,
    }
    return json.dumps(
        {name: value for name, value in written.items() if value is not None}
    ).encode()


def message_of(
    raw: bytes | None = None,
    /,
    *,
    key: str = "email.normal",
    headers: Mapping[str, object] | None = None,
    content_type: str | None = "application/json",
    content_encoding: str | None = None,
    timestamp: datetime | None = None,
    **fields: Any,
) -> Message:
    """A message as the broker hands it over."""
    return Message(
        body_of(**fields) if raw is None else raw,
        key,
        headers or {},
        content_type,
        content_encoding,
        timestamp=timestamp,
    )


def attempt_of(
    *,
    id: UUID | None = None,
    number: int = 1,
    epoch: int = 0,
    priority: str = "normal",
    first_seen: datetime = NOW,
    **fields: Any,
) -> Attempt:
    """An attempt at an email."""
    body = body_of(**fields, **({"id": str(id)} if id is not None else {}))
    return Attempt(parse(body), body, Lane("email", priority), epoch, number, first_seen)


def read_in_its_lane(message: Message, *, now: datetime | None = None) -> Attempt:
    """Read a message as the worker does to whose lane its routing key leads."""
    channel, priority, *_ = [*message.routing_key.split("."), ""]
    return read(message, Lane(channel, priority), now=now)
