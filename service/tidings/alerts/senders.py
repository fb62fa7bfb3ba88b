"""The ways to send an alert: through a service that Apprise supports, or on one of our own channels."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import pydantic_core

from tidings.alerts.notice import Notice
from tidings.channels.registry import SPECS
from tidings.channels.spec import OperatorAlert
from tidings.delivery.dead_letter import DeadLetter
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError, TidingsError
from tidings.delivery.ports import Publisher
from tidings.runtime.background import in_a_thread
from tidings_events import InvalidNotification, Priority, parse
from tidings_events.notifications.base import new_id
from tidings_events.routing import EXCHANGE, routing_key

CATEGORY: Final = "operations"
MARK: Final = ("tidings", "dead letters")
"""In the metadata of alerts that we publish."""
WORTH: Final = timedelta(hours=12)
"""Time after which an alert expires."""


class AlertNotSent(TidingsError):
    """The alert was not sent; the message says why."""


class AlertSender(Protocol):
    """Sends alerts to operators."""

    async def send(self, notice: Notice) -> None:
        """Send it, within a time limit.

        Raises:
            AlertNotSent: It failed.
        """
        ...


class AppriseSender:
    """Sends through a service that Apprise supports.

    Args:
        url: Apprise's, e.g. `slack://…`.
        timeout: Seconds it may take.

    Raises:
        ConfigurationError: Apprise doesn't support the URL.
    """

    def __init__(self, url: str, timeout: float = 20.0) -> None:
        from apprise import Apprise  # it imports a hundred services

        self._apprise: Any = Apprise()
        self._timeout = timeout
        if not self._apprise.add(url):
            raise ConfigurationError(
                "TIDINGS_ALERT_URL: Apprise does not support this kind of URL; "
                "its list of services shows the format of each"
            )

    async def send(self, notice: Notice) -> None:
        """Send it in a thread: Apprise blocks."""
        try:
            async with asyncio.timeout(self._timeout + 1):
                sent = await in_a_thread("send an alert", lambda: self._notify(notice))
        except TimeoutError:
            raise AlertNotSent(f"no answer within {self._timeout:g}s") from None
        except Exception as error:
            raise AlertNotSent(f"Apprise failed: {type(error).__name__}") from error
        if not sent:
            raise AlertNotSent("the service refused it; Apprise's log says why")

    def _notify(self, notice: Notice) -> bool:
        return bool(
            self._apprise.notify(title=notice.title, body=notice.text, timeout=self._timeout)
        )


class ChannelSender:
    """Sends on one of our own channels, as a notification with retries and history.

    Args:
        channel: Its name, e.g. `email`.
        recipient: The operators' address there.

    Raises:
        ConfigurationError: Channel and recipient don't make a valid notification; says why.
    """

    def __init__(self, publisher: Publisher, channel: str, recipient: str) -> None:
        self._publisher = publisher
        self._channel = channel
        self._recipient = recipient
        try:
            parse(self._written(Notice(1, "Tidings", "Tidings")))
        except InvalidNotification as invalid:
            raise ConfigurationError(
                "TIDINGS_ALERT_CHANNEL and TIDINGS_ALERT_RECIPIENT don't make a "
                f"notification: {invalid}"
            ) from None

    async def send(self, notice: Notice) -> None:
        """Publish it like any other notification."""
        body = self._written(notice)
        try:
            await self._publisher.publish(EXCHANGE, routing_key(parse(body)), body, {})
        except BrokerUnavailable as error:
            raise AlertNotSent(str(error)) from error

    def _written(self, notice: Notice) -> bytes:
        fields: dict[str, Any] = {
            "id": new_id(),
            "channel": self._channel,
            "recipient": self._recipient,
            "priority": Priority.HIGH,
            "category": CATEGORY,
            "metadata": dict([MARK]),
            "expires_at": datetime.now(UTC) + WORTH,
        }
        if (spec := SPECS.get(self._channel)) is not None:
            event = "tidings.dead_letters" if notice.dead_letters else "tidings.provider_down"
            fields |= spec.alert_fields(
                OperatorAlert(
                    notice.title, notice.text, event, {"dead_letters": notice.dead_letters}
                )
            )
        return pydantic_core.to_json(fields)


def is_our_own(dead_letter: DeadLetter) -> bool:
    """Whether this dead letter is itself an alert: an alert about it would fail in the same way."""
    notification = dead_letter.notification
    if notification is None or notification.category != CATEGORY:
        return False
    name, value = MARK
    return notification.metadata.get(name) == value
