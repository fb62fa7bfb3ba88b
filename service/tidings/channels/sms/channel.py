"""Delivers text messages through Twilio."""

import ssl
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver

from tidings.channels.twilio.api import TwilioApi, TwilioMessage
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict
from tidings.settings import SmsSettings, TwilioSettings
from tidings_events import SmsNotification


class SmsChannel:
    """Text messages from a number, a name, or a messaging service.

    Args:
        resolver: Looks names up instead of the system's resolver.
        tls: Verifies Twilio's certificate instead of the system's authorities.

    Raises:
        ConfigurationError: No sender is set, or Twilio's settings don't add up.
    """

    name = "sms"
    template_parts = TemplateParts(required={"sms": "text"})

    def __init__(
        self,
        settings: SmsSettings,
        twilio: TwilioSettings,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not (settings.sender or settings.messaging_service_sid):
            raise ConfigurationError(
                "set TIDINGS_SMS_SENDER or TIDINGS_SMS_MESSAGING_SERVICE_SID to send text messages"
            )
        self._settings = settings
        self._twilio = TwilioApi(twilio, resolver=resolver, tls=tls)

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        notification = request.notification
        if not isinstance(notification, SmsNotification):
            raise TypeError(f"not a text message: {type(notification).__name__}")
        service = "" if notification.sender else self._settings.messaging_service_sid
        message = TwilioMessage(
            to=notification.recipient,
            sender=notification.sender or ("" if service else self._settings.sender),
            own_sender=notification.sender is not None,
            service=service,
            body=request.content.text,
        )
        return await self._twilio.send(message, request.timeout)

    async def check(self) -> Sequence[Finding]:
        """Whether Twilio answers and accepts the credentials, and who messages come from."""
        sender = self._settings.messaging_service_sid or self._settings.sender
        return [
            *await self._twilio.check(),
            Finding("SMS sender", Verdict.OK, f"messages come from {sender}"),
        ]

    async def close(self) -> None:
        """Give back connections."""
        await self._twilio.close()
