"""Delivers WhatsApp messages through Twilio: text within 24 hours of an answer, else approved content."""

import json
import ssl
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver

from tidings.channels.twilio.api import TwilioApi, TwilioMessage
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict
from tidings.settings import TwilioSettings, WhatsAppSettings
from tidings_events import WhatsAppNotification


class WhatsAppChannel:
    """WhatsApp messages from a number or a messaging service.

    Args:
        resolver: Looks names up instead of the system's resolver.
        tls: Verifies Twilio's certificate instead of the system's authorities.

    Raises:
        ConfigurationError: No sender is set, or Twilio's settings don't add up.
    """

    name = "whatsapp"
    template_parts = TemplateParts(required={"whatsapp": "text"})

    def __init__(
        self,
        settings: WhatsAppSettings,
        twilio: TwilioSettings,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not (settings.sender or settings.messaging_service_sid):
            raise ConfigurationError(
                "set TIDINGS_WHATSAPP_SENDER or TIDINGS_WHATSAPP_MESSAGING_SERVICE_SID "
                "to send WhatsApp messages"
            )
        self._settings = settings
        self._twilio = TwilioApi(twilio, resolver=resolver, tls=tls)

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        notification = request.notification
        if not isinstance(notification, WhatsAppNotification):
            raise TypeError(f"not a WhatsApp message: {type(notification).__name__}")
        return await self._twilio.send(self._message(notification, request), request.timeout)

    def _message(self, notification: WhatsAppNotification, request: SendRequest) -> TwilioMessage:
        service = "" if notification.sender else self._settings.messaging_service_sid
        sender = notification.sender or ("" if service else self._settings.sender)
        variables = notification.content_variables
        return TwilioMessage(
            to=_address(notification.recipient),
            sender=_address(sender) if sender else "",
            own_sender=notification.sender is not None,
            service=service,
            body=None if notification.content_sid else request.content.text,
            content_sid=notification.content_sid,
            content_variables=json.dumps(variables) if variables else None,
        )

    async def check(self) -> Sequence[Finding]:
        """Whether Twilio answers and accepts the credentials, and who messages come from."""
        sender = self._settings.messaging_service_sid or self._settings.sender
        return [
            *await self._twilio.check(),
            Finding("WhatsApp sender", Verdict.OK, f"messages come from {sender}"),
        ]

    async def close(self) -> None:
        """Give back connections."""
        await self._twilio.close()


def _address(number: str) -> str:
    """A number as Twilio addresses it on this channel, however it was written in the settings."""
    return number if number.startswith("whatsapp:") else f"whatsapp:{number}"
