"""Delivers messages into the inboxes of an application's users. The provider is our own PostgreSQL.

A message counts as delivered once it is committed, whether or not its user is connected. It is stored under the
notification's id, so however often it is delivered, its user has it once.
"""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from tidings.channels.in_app.settings import PROVIDER
from tidings.channels.in_app.spec import SPEC
from tidings.delivery.errors import (
    CommitUnknown,
    ConfigurationError,
    DeliveryError,
    LedgerRefused,
    LedgerUnavailable,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    TidingsError,
    Unavailable,
)
from tidings.delivery.inbox import Inbox, InboxMessage
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, Verdict
from tidings_events import InAppNotification
from tidings_events.notifications.in_app import LONGEST_BODY, LONGEST_TITLE

STORED: Final = "stored"
"""In place of a provider's reply code."""
CUT: Final = "…"
"""Ends a title or body that a template rendered too long."""


class InAppChannel:
    """Puts messages into inboxes."""

    name = SPEC.name
    template_parts = SPEC.template_parts

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        message = message_of(request)
        try:
            await self._inbox.deliver(message, request.timeout)
        except (LedgerUnavailable, LedgerRefused, ConfigurationError) as error:
            raise _failure(error) from None
        return Sent(PROVIDER, code=STORED)

    async def check(self) -> Sequence[Finding]:
        """Check that messages could be stored."""
        try:
            await self._inbox.check()
        except TidingsError as error:
            remedy = "run `tidings migrate`, and look at what is found of PostgreSQL"
            return [Finding("In-app inbox", Verdict.FAULT, str(error), remedy)]
        return [Finding("In-app inbox", Verdict.OK, "its tables can be written")]

    async def close(self) -> None:
        """Nothing is open: the connections are the ledger's."""


def message_of(request: SendRequest) -> InboxMessage:
    """The message that a notification becomes.

    Raises:
        Rejected: Its template renders no title.
    """
    notification = request.notification
    if not isinstance(notification, InAppNotification):
        raise TypeError(f"not for an inbox: {type(notification).__name__}")
    entity, actions = notification.entity, notification.actions
    title, body = notification.title, notification.body
    if title is None:
        title, body = _rendered(request)
    return InboxMessage(
        id=notification.id,
        tenant=notification.tenant,
        user_id=notification.recipient,
        category=notification.category,
        type=notification.type,
        severity=notification.severity,
        title=title,
        body=body,
        data=to_json(notification.data).decode() if notification.data else None,
        action_url=notification.action_url,
        actions=to_json(actions).decode() if actions else None,
        entity_type=entity.type if entity else None,
        entity_id=entity.id if entity else None,
        expires_at=notification.expires_at,
    )


def _rendered(request: SendRequest) -> tuple[str, str | None]:
    """Title and body from a template: within the limits that clients rely on."""
    title = request.content.subject.strip()
    if not title:
        raise Rejected("the template renders an empty title", provider=PROVIDER, code="empty_title")
    body = request.content.text.strip()
    return _cut(title, LONGEST_TITLE), _cut(body, LONGEST_BODY) or None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(CUT)].rstrip() + CUT


def _failure(error: LedgerUnavailable | LedgerRefused | ConfigurationError) -> DeliveryError:
    match error:
        case CommitUnknown():
            return OutcomeUnknown(str(error), provider=PROVIDER)
        case LedgerUnavailable():
            return Unavailable(str(error), provider=PROVIDER)
        case LedgerRefused():
            return Rejected(str(error), provider=PROVIDER)
        case ConfigurationError():
            return Misconfigured(str(error), provider=PROVIDER)
