"""Where the alerts of a rule go: a receiver's URL or one of our own channels; how both are shown, and sent to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from tidings.alerts.notice import Notice
from tidings.alerts.senders import AlertNotSent, AlertSender, AppriseSender, ChannelSender
from tidings.broker.connection import BrokerConnection
from tidings.broker.publisher import BrokerPublisher
from tidings.delivery.alert_rules import EVERY_TENANT
from tidings.delivery.errors import TidingsError
from tidings.delivery.masking import HIDDEN, mask
from tidings.ledger.operators.rule_alerts import AlertResult
from tidings.ledger.operators.rule_rows import AlertRule, RuleTerms
from tidings.runtime.background import in_a_thread
from tidings.runtime.sealing import is_sealed
from tidings.settings import Settings
from tidings_events import DEFAULT_TENANT

WITH_A_HOST: Final = frozenset(
    {"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}
)
"""Schemes of Apprise whose URLs name a host; in others the same place may hold a token."""


def shown_destination(terms: RuleTerms) -> str:
    """Where alerts go, without secrets and people: `slack://…`, `email to o…@example.com`."""
    if terms.url is None:
        return f"{terms.to_channel} to {mask(terms.recipient or '')}"
    if is_sealed(terms.url):
        return "a URL that is sealed with another key"
    scheme = terms.url.partition("://")[0].lower()
    if scheme not in WITH_A_HOST:
        return f"{scheme}://{HIDDEN}"
    try:
        host = urlsplit(terms.url).hostname or ""
    except ValueError:
        host = ""
    return f"{scheme}://{host}/{HIDDEN}"


async def check_destination(terms: RuleTerms, tenant: str) -> None:
    """Check that alerts can be sent there; nothing is sent.

    Raises:
        UnknownService: Apprise has no service for the URL.
        InvalidNotification: Channel and recipient don't make a valid notification.
    """
    if terms.url is not None:
        url = terms.url
        await in_a_thread("look for a service", lambda: AppriseSender(url))
    else:
        _on_channel(None, terms, tenant, "rule")


async def send(settings: Settings, name: str, rule: AlertRule, notice: Notice) -> AlertResult:
    """Send an alert of a rule; it raises nothing that a receiver, a network or RabbitMQ can do.

    Args:
        settings: Of RabbitMQ, for our own channels.
        name: Of a connection to RabbitMQ.
        rule: Whose alert it is.
        notice: The alert.
    """
    began, answer, error = monotonic(), "", None
    try:
        async with _sender(settings, name, rule) as sender:
            answer = await sender.send(notice)
    except AlertNotSent as failure:
        error = str(failure)
    except TidingsError as failure:
        error = f"{type(failure).__name__}: {failure}"
    return AlertResult(notice.title, notice.text, answer, error, round(monotonic() - began, 3))


@asynccontextmanager
async def _sender(settings: Settings, name: str, rule: AlertRule) -> AsyncIterator[AlertSender]:
    if is_sealed(rule.terms.url):
        raise AlertNotSent(
            "the URL is sealed with a key that TIDINGS_SEALING_KEYS of this process doesn't have: add it, or give the URL again"
        )
    if (url := rule.terms.url) is not None:
        yield await in_a_thread("look for a service", lambda: AppriseSender(url))
        return
    async with BrokerConnection(settings.broker, f"{name} (alert)") as connection:
        await connection.get()
        publisher = BrokerPublisher(settings.broker, connection)
        yield _on_channel(publisher, rule.terms, rule.tenant, str(rule.id))


def _on_channel(
    publisher: BrokerPublisher | None, terms: RuleTerms, tenant: str, rule: str
) -> ChannelSender:
    whose = DEFAULT_TENANT if tenant == EVERY_TENANT else tenant
    channel, recipient = terms.to_channel or "", terms.recipient or ""
    return ChannelSender(publisher, channel, recipient, tenant=whose, rule=rule)
