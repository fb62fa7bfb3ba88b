"""Delivers WhatsApp messages through Twilio: free text within 24 hours of the user's last message, else templates."""

import json

from tidings.channels.twilio.api import TwilioMessage
from tidings.channels.twilio.channel import TwilioChannel
from tidings.channels.whatsapp.spec import SPEC
from tidings.delivery.ports import SendRequest
from tidings_events import WhatsAppNotification


class WhatsAppChannel(TwilioChannel):
    """WhatsApp messages from a number or a messaging service."""

    name = SPEC.name
    template_parts = SPEC.template_parts
    medium = "WhatsApp"
    prefix = "whatsapp:"

    def message(self, request: SendRequest) -> TwilioMessage:
        """The text, or the approved content template with its variables."""
        notification = request.notification
        if not isinstance(notification, WhatsAppNotification):
            raise TypeError(f"not a WhatsApp message: {type(notification).__name__}")
        variables = notification.content_variables
        return TwilioMessage(
            to=notification.recipient,
            sender=notification.sender or "",
            body=None if notification.content_sid else request.content.text,
            content_sid=notification.content_sid,
            content_variables=json.dumps(variables) if variables else None,
        )
