"""The ways to tell operators: a service that the Apprise library knows, or one of our own channels."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import pydantic_core

from tidings.alerts.notice import Notice
from tidings.channels.registry import SPECS
from tidings.channels.spec import Announcement
from tidings.delivery.dead_letter import DeadLetter
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError, TidingsError
from tidings.delivery.ports import Publisher
from tidings.runtime.background import in_a_thread
from tidings_events import InvalidNotification, Priority, parse
from tidings_events.notifications.base import new_id
from tidings_events.routing import EXCHANGE, routing_key

CATEGORY: Final = "operations"
MARK: Final = ("tidings", "dead letters")
"""In the metadata of what we publish ourselves."""
WORTH: Final = timedelta(hours=12)
"""How long such a message is worth delivering."""


class AlertNotSent(TidingsError):
    """Operators could not be told; the message says why."""


class AlertSender(Protocol):
    """Tells operators."""

    async def tell(self, notice: Notice) -> None:
        """Tell them, within a time limit.

        Raises:
            AlertNotSent: It did not reach them.
        """
        ...


class AppriseSender:
    """Tells through a service that Apprise knows.

    Args:
        url: Apprise's, e.g. `slack://…`.
        timeout: Seconds it may take.

    Raises:
        ConfigurationError: Apprise doesn't know what to do with the URL.
    """

    def __init__(self, url: str, timeout: float = 20.0) -> None:
        from apprise import Apprise  # a hundred services: only where somebody wants one

        self._apprise: Any = Apprise()
        self._timeout = timeout
        if not self._apprise.add(url):
            raise ConfigurationError(
                "TIDINGS_ALERT_URL: Apprise does not know this kind of URL; "
                "its list of services says how theirs are written"
            )

    async def tell(self, notice: Notice) -> None:
        """Tell, in a thread: Apprise waits for its service."""
        try:
            async with asyncio.timeout(self._timeout + 1):
                told = await in_a_thread("tell operators", lambda: self._notify(notice))
        except TimeoutError:
            raise AlertNotSent(f"no answer within {self._timeout:g}s") from None
        except Exception as error:
            raise AlertNotSent(f"Apprise failed: {type(error).__name__}") from error
        if not told:
            raise AlertNotSent("the service did not take it; Apprise's own log says why")

    def _notify(self, notice: Notice) -> bool:
        return bool(
            self._apprise.notify(title=notice.title, body=notice.text, timeout=self._timeout)
        )


class ChannelSender:
    """Tells through one of our own channels, with all that a notification gets: retries, history.

    Args:
        channel: Its name, e.g. `email`.
        recipient: Whom to tell there.

    Raises:
        ConfigurationError: No such notification can be written; says what is wrong.
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

    async def tell(self, notice: Notice) -> None:
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
            fields |= spec.announce(
                Announcement(
                    notice.title, notice.text, event, {"dead_letters": notice.dead_letters}
                )
            )
        return pydantic_core.to_json(fields)


def is_our_own(dead_letter: DeadLetter) -> bool:
    """Whether this dead letter was itself a message to operators: telling of it would go round in circles."""
    notification = dead_letter.notification
    if notification is None or notification.category != CATEGORY:
        return False
    name, value = MARK
    return notification.metadata.get(name) == value
