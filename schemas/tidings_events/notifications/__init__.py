"""The notification models: one notification, to one recipient, through one channel.

To add a channel: write its model in a file of its own here, and add it to `Notification`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, get_args

from pydantic import Field

from tidings_events.notifications.base import BaseNotification
from tidings_events.notifications.email import EmailNotification
from tidings_events.notifications.in_app import InAppNotification
from tidings_events.notifications.sms import SmsNotification
from tidings_events.notifications.webhook import WebhookNotification
from tidings_events.notifications.whatsapp import WhatsAppNotification

Notification = Annotated[
    EmailNotification  # one line per channel
    | SmsNotification
    | WhatsAppNotification
    | WebhookNotification
    | InAppNotification,
    Field(discriminator="channel"),
]

MODELS: Mapping[str, type[BaseNotification]] = MappingProxyType(
    {model.model_fields["channel"].default: model for model in get_args(get_args(Notification)[0])}
)
"""Each channel's name, and the model that describes its notifications."""

CHANNELS: tuple[str, ...] = tuple(MODELS)

__all__ = [
    "CHANNELS",
    "MODELS",
    "BaseNotification",
    "EmailNotification",
    "InAppNotification",
    "Notification",
    "SmsNotification",
    "WebhookNotification",
    "WhatsAppNotification",
]
