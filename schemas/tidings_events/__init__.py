"""What producers write to Tidings: the notification models, their schemas, a confirmed publisher."""

from tidings_events.errors import InvalidNotification, TidingsEventsError
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

__all__ = [
    "CHANNELS",
    "MAX_BODY_BYTES",
    "MODELS",
    "Attachment",
    "BaseNotification",
    "EmailNotification",
    "Entity",
    "InvalidNotification",
    "Notification",
    "Priority",
    "SmsNotification",
    "TidingsEventsError",
    "WebhookNotification",
    "WhatsAppNotification",
    "parse",
]
