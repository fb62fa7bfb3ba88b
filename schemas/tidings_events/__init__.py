"""What producers write to Tidings: the notification models, their schemas, a confirmed publisher."""

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
from tidings_events.notifications.base import MAX_BODY_BYTES, Entity, Priority
from tidings_events.notifications.email import Attachment
from tidings_events.parsing import parse
from tidings_events.problems import describe
from tidings_events.producer import Producer, publish_sync

__all__ = [
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
