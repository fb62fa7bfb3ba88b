"""The ways to send an alert: through a service that Apprise supports, or on one of our own channels."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import pydantic_core

from tidings.alerts.notice import Notice, Severity
from tidings.channels.registry import SPECS
from tidings.channels.spec import OperatorAlert
from tidings.delivery.alert_rules import OF_ALERTS
from tidings.delivery.dead_letter import DeadLetter
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.delivery.ports import Publisher
from tidings.runtime.background import in_a_thread
from tidings_events import DEFAULT_TENANT, Priority, parse
from tidings_events.notifications.base import new_id
from tidings_events.routing import EXCHANGE, routing_key

CATEGORY: Final = "operations"
MARK: Final = ("tidings", "dead letters")
"""In the metadata of alerts that we publish."""
WORTH: Final = timedelta(hours=12)
"""Time after which an alert expires."""
SHORTEST_SECRET: Final = 5
"""Characters."""
NOTIFY_TYPES: Final = {
    Severity.FAULT: "failure",
    Severity.TEST: "warning",
    Severity.CLEAR: "success",
}
"""What Apprise calls them: PagerDuty and its like wake somebody for a failure, and resolve it at a success."""
INCIDENTS: Final = {"pagerduty": {"action": "map", "dedup": "tidings-{incident}"}}
"""By the scheme of a receiver's URL, the parameters by which Apprise names an incident and resolves it at a success."""
LONGEST_ANSWER: Final = 500
"""Characters of what a receiver answered."""


class AlertNotSent(TidingsError):
    """The alert was not sent; the message says why."""


class UnknownService(TidingsError):
    """Apprise has no service for a URL."""


class AlertSender(Protocol):
    """Sends alerts to operators."""

    async def send(self, notice: Notice) -> str:
        """Send it, within a time limit; what the receiver answered, without its secrets.

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
        UnknownService: Apprise doesn't support the URL.
    """

    def __init__(self, url: str, timeout: float = 20.0) -> None:
        from apprise import Apprise  # it imports a hundred services

        self._new: Callable[[], Any] = Apprise
        self._url = url
        self._timeout = timeout
        self._secrets = secrets_of(url)
        if not self._new().add(url):
            raise UnknownService(
                "Apprise does not support this kind of URL; its list of services shows the format of each"
            )

    async def send(self, notice: Notice) -> str:
        """Send it in a thread: Apprise blocks."""
        try:
            async with asyncio.timeout(self._timeout + 1):
                sent, answer = await in_a_thread("send an alert", lambda: self._notify(notice))
        except TimeoutError:
            raise AlertNotSent(f"no answer within {self._timeout:g}s") from None
        except Exception as error:
            raise AlertNotSent(f"Apprise failed: {type(error).__name__}") from error
        if not sent:
            raise AlertNotSent(answer or "the service refused it")
        return answer or "accepted"

    def _notify(self, notice: Notice) -> tuple[bool, str]:
        service = self._new()
        service.add(with_incident(self._url, notice.incident))
        result = service.notify(
            title=notice.title,
            body=notice.text,
            notify_type=NOTIFY_TYPES[notice.severity],
            timeout=self._timeout,
        )
        lines = dict.fromkeys(entry.message.strip() for entry in result.logs())
        return bool(result), self._without_secrets(" ".join(lines))[:LONGEST_ANSWER]

    def _without_secrets(self, text: str) -> str:
        return self._secrets.sub("…", text) if self._secrets is not None else text


def with_incident(url: str, incident: str) -> str:
    """A receiver's URL, so that the end of an incident is understood as such; parameters that it has itself stay."""
    if not incident:
        return url
    for name, value in INCIDENTS.get(url.partition("://")[0].lower(), {}).items():
        if name not in dict(parse_qsl(url.partition("?")[2])):
            url += f"{'&' if '?' in url else '?'}{name}={value.format(incident=incident)}"
    return url


def secrets_of(url: str) -> "re.Pattern[str] | None":
    """What must not be seen of a receiver's URL, in a text about it: all but the scheme, short words and numbers."""
    _, _, rest = url.partition("://")
    parts = {unquote(part) for part in re.split(r"[/?&=:@#+,]", rest)} | {rest}
    hidden = sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, hidden)), re.IGNORECASE) if hidden else None


class ChannelSender:
    """Sends on one of our own channels, as a notification with retries and history.

    Args:
        publisher: Publishes it.
        channel: Its name, e.g. `email`.
        recipient: The operators' address there.
        tenant: Whose notification it is.
        rule: The rule's id; empty: the alert of the settings.

    Raises:
        InvalidNotification: Channel and recipient don't make a valid notification; says why.
    """

    def __init__(
        self,
        publisher: Publisher | None,
        channel: str,
        recipient: str,
        *,
        tenant: str = DEFAULT_TENANT,
        rule: str = "",
    ) -> None:
        self._publisher = publisher
        self._channel = channel
        self._recipient = recipient
        self._tenant = tenant
        self._rule = rule or "settings"
        parse(self._written(Notice(1, "Tidings", "Tidings"), new_id()))

    async def send(self, notice: Notice) -> str:
        """Publish it like any other notification."""
        id_ = new_id()
        body = self._written(notice, id_)
        assert self._publisher is not None  # noqa: S101  # without one it only checks
        try:
            await self._publisher.publish(EXCHANGE, routing_key(parse(body)), body, {})
        except BrokerUnavailable as error:
            raise AlertNotSent(str(error)) from error
        return f"published as notification {id_}"

    def _written(self, notice: Notice, id: UUID) -> bytes:
        fields: dict[str, Any] = {
            "id": id,
            "channel": self._channel,
            "recipient": self._recipient,
            "priority": Priority.HIGH,
            "tenant": self._tenant,
            "category": CATEGORY,
            "entity": {"type": OF_ALERTS, "id": self._rule},
            "metadata": dict([MARK]),
            "expires_at": datetime.now(UTC) + WORTH,
        }
        if (spec := SPECS.get(self._channel)) is not None:
            details = {"dead_letters": notice.dead_letters}
            alert = OperatorAlert(notice.title, notice.text, notice.event, details)
            fields |= spec.alert_fields(alert)
        return pydantic_core.to_json(fields)


def is_our_own(dead_letter: DeadLetter) -> bool:
    """Whether this dead letter is itself an alert: an alert about it would fail in the same way."""
    notification = dead_letter.notification
    if notification is None or notification.category != CATEGORY:
        return False
    name, value = MARK
    return notification.metadata.get(name) == value
