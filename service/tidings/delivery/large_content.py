"""Holds of a large notification only what it is filed under, until its content is sent: its body has all of it."""

from dataclasses import replace
from typing import Any, Final

from tidings.delivery.attempt import Attempt
from tidings_events import Notification, parse

LARGE: Final = 1024 * 1024
"""Bytes of a body that is worth reading twice."""
_CONTENT: Final[dict[str, Any]] = {
    "attachments": (),
    "body": None,
    "content_variables": None,
    "data": None,
    "html": None,
    "payload": {},
}
"""The fields that can be large, and what they are without."""


def without_content(notification: Notification, body: bytes) -> Notification:
    """A notification without its content, where that is large."""
    if len(body) < LARGE:
        return notification
    fields = type(notification).model_fields
    return notification.model_copy(
        update={name: without for name, without in _CONTENT.items() if name in fields}
    )


def without_large_content(attempt: Attempt) -> Attempt:
    """An attempt at such a notification."""
    if len(attempt.body) < LARGE:
        return attempt
    return replace(attempt, notification=without_content(attempt.notification, attempt.body))


def with_large_content(attempt: Attempt) -> Attempt:
    """The attempt with its content again."""
    if len(attempt.body) < LARGE:
        return attempt
    return replace(attempt, notification=parse(attempt.body))
