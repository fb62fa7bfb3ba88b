"""Delivers text messages through Twilio."""

from tidings.channels.sms.spec import SPEC
from tidings.channels.twilio.api import TwilioMessage
from tidings.channels.twilio.channel import TwilioChannel
from tidings.delivery.ports import SendRequest
from tidings_events import SmsNotification


class SmsChannel(TwilioChannel):
    """Text messages from a number, a name, or a messaging service."""

    name = SPEC.name
    template_parts = SPEC.template_parts
    medium = "SMS"

    def message(self, request: SendRequest) -> TwilioMessage:
        """The text, however long: Twilio sends it in parts."""
        notification = request.notification
        if not isinstance(notification, SmsNotification):
            raise TypeError(f"not a text message: {type(notification).__name__}")
        return TwilioMessage(
            to=notification.recipient, sender=notification.sender or "", body=request.content.text
        )
