"""What producers write to Tidings: the notification models, their schemas, a confirmed publisher."""

from typing import TYPE_CHECKING, Any

from tidings_events import notifications
from tidings_events.errors import (
    InvalidNotification,
    NotConfirmed,
    PublishFailed,
    SomeNotPublished,
    TidingsEventsError,
    Unreachable,
    Unroutable,
)
from tidings_events.notifications import *  # noqa: F403  # the models, listed there
from tidings_events.notifications.base import DEFAULT_TENANT, MAX_BODY_BYTES, Entity, Priority
from tidings_events.notifications.email import Attachment
from tidings_events.parsing import parse
from tidings_events.problems import describe

if TYPE_CHECKING:
    from tidings_events.producer import Producer, publish_sync

__all__ = [
    "DEFAULT_TENANT",
    "MAX_BODY_BYTES",
    "Attachment",
    "Entity",
    "InvalidNotification",
    "NotConfirmed",
    "Priority",
    "Producer",
    "PublishFailed",
    "SomeNotPublished",
    "TidingsEventsError",
    "Unreachable",
    "Unroutable",
    "describe",
    "parse",
    "publish_sync",
]
__all__ += notifications.__all__


def __getattr__(name: str) -> Any:
    """Load the publisher on first use: reading notifications needs no AMQP."""
    if name in {"Producer", "publish_sync"}:
        from tidings_events import producer

        return getattr(producer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
