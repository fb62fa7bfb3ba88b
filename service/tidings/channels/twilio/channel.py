"""Base class of the channels that use Twilio: chooses the sender, sends, checks."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from aiohttp.abc import AbstractResolver

from tidings.channels.twilio.api import TwilioApi, TwilioMessage
from tidings.channels.twilio.settings import TwilioChannelSettings, TwilioSettings
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict


class TwilioChannel(ABC):
    """One Twilio channel, from a number or a messaging service.

    Args:
        resolver: Used instead of the system's resolver.
        tls: Used instead of the system's certificate authorities.

    Raises:
        ConfigurationError: No sender is set, or Twilio's settings are incomplete.
    """

    name: str
    template_parts: TemplateParts
    medium: ClassVar[str]
    """Its display name, e.g. `SMS`."""
    prefix: ClassVar[str] = ""
    """Prefix of addresses at Twilio, e.g. `whatsapp:`."""

    def __init__(
        self,
        settings: TwilioChannelSettings,
        account: TwilioSettings,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not (settings.sender or settings.messaging_service_sid):
            prefix = settings.model_config["env_prefix"]
            raise ConfigurationError(
                f"set {prefix}SENDER or {prefix}MESSAGING_SERVICE_SID to send {self.medium} messages"
            )
        self._settings = settings
        self._twilio = TwilioApi(account, resolver=resolver, tls=tls)

    @abstractmethod
    def message(self, request: SendRequest) -> TwilioMessage:
        """The notification as a message; its sender is empty if the notification names none."""

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        return await self._twilio.send(self._addressed(self.message(request)), request.timeout)

    def _addressed(self, message: TwilioMessage) -> TwilioMessage:
        service = "" if message.sender else self._settings.messaging_service_sid
        sender = message.sender or ("" if service else self._settings.sender)
        return replace(
            message,
            to=self._address(message.to),
            sender=self._address(sender) if sender else "",
            own_sender=bool(message.sender),
            service=service,
        )

    def _address(self, number: str) -> str:
        """The number with the channel's prefix."""
        return number if number.startswith(self.prefix) else f"{self.prefix}{number}"

    async def check(self) -> Sequence[Finding]:
        """Whether Twilio responds and accepts the credentials; and the configured sender."""
        sender = self._settings.messaging_service_sid or self._settings.sender
        return [
            *await self._twilio.check(),
            Finding(f"{self.medium} sender", Verdict.OK, f"messages come from {sender}"),
        ]

    async def close(self) -> None:
        """Close all connections."""
        await self._twilio.close()
