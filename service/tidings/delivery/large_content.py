"""Drops the content of a large notification until it is sent, to save memory: its body still has it."""

from dataclasses import replace
from typing import Any, Final

from tidings.delivery.attempt import Attempt
from tidings_events import Notification, parse

LARGE: Final = 1024 * 1024
"""Bytes from which a body is parsed twice to save memory."""
_CONTENT: Final[dict[str, Any]] = {
    "attachments": (),
    "body": None,
    "content_variables": None,
    "data": None,
    "html": None,
    "payload": {},
}
"""The fields that can be large, and their empty values."""


def without_content(notification: Notification, body: bytes) -> Notification:
    """The notification, without its content if that is large."""
    if len(body) < LARGE:
        return notification
    fields = type(notification).model_fields
    return notification.model_copy(
        update={name: without for name, without in _CONTENT.items() if name in fields}
    )


def without_large_content(attempt: Attempt) -> Attempt:
    """The attempt, without its content if that is large."""
    if len(attempt.body) < LARGE:
        return attempt
    return replace(attempt, notification=without_content(attempt.notification, attempt.body))


def with_large_content(attempt: Attempt) -> Attempt:
    """The attempt with its content, parsed from the body again."""
    if len(attempt.body) < LARGE:
        return attempt
    return replace(attempt, notification=parse(attempt.body))
