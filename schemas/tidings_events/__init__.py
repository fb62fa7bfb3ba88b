"""What producers write to Tidings: the notification models, their schemas, a confirmed publisher."""

from tidings_events.errors import (
    InvalidNotification,
    NotConfirmed,
    PublishFailed,
    SomeNotPublished,
    TidingsEventsError,
    Unreachable,
    Unroutable,
)
from tidings_events.notifications import (
    CHANNELS,
    MODELS,
    BaseNotification,
    EmailNotification,
    Notification,
    SmsNotification,
    WebhookNotification,
    WhatsAppNotification,
)
from tidings_events.notifications.base import MAX_BODY_BYTES, Entity, Priority
from tidings_events.notifications.email import Attachment
from tidings_events.parsing import parse
from tidings_events.problems import describe
from tidings_events.producer import Producer, publish_sync

__all__ = [
    "CHANNELS",
    "MAX_BODY_BYTES",
    "MODELS",
    "Attachment",
    "BaseNotification",
    "EmailNotification",
    "Entity",
    "InvalidNotification",
    "NotConfirmed",
    "Notification",
    "Priority",
    "Producer",
    "PublishFailed",
    "SmsNotification",
    "SomeNotPublished",
    "TidingsEventsError",
    "Unreachable",
    "Unroutable",
    "WebhookNotification",
    "WhatsAppNotification",
    "describe",
    "parse",
    "publish_sync",
]
