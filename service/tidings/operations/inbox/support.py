"""A user's inbox as those who help its user see it: what became of each message, and no content."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tidings.delivery.errors import InvalidRequest
from tidings.ledger.inbox.messages import InboxUser, StoredMessage
from tidings.ledger.inbox.reading import InboxCounts
from tidings.operations.backend import Backend
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.inbox.message_states import MessageState, MessageStateView
from tidings_events import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class ShowInboxRequest:
    """Whose inbox, and how much of it."""

    user: str
    tenant: str = DEFAULT_TENANT
    limit: int = 20
    """At most so many messages, those that changed last."""


@dataclass(frozen=True, slots=True)
class SupportMessageView:
    """A message without its content."""

    message: StoredMessage

    @property
    def state(self) -> MessageStateView:
        """What became of it."""
        return MessageStateView.of(self.message)

    @property
    def since(self) -> datetime:
        """When that became so; of a snoozed one, when it ends."""
        message = self.message
        match self.state.state:
            case MessageState.DELETED | MessageState.EXPIRED:
                moment = message.deleted_at
            case MessageState.ARCHIVED:
                moment = message.archived_at
            case MessageState.SNOOZED:
                moment = message.snoozed_until
            case MessageState.ACTED:
                moment = message.acted_at
            case MessageState.READ:
                moment = message.read_at
            case MessageState.SEEN:
                moment = message.seen_at
            case MessageState.UNSEEN | MessageState.REMOVED:
                moment = None
        return moment or message.created_at

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        message = self.message
        return {
            "id": message.id,
            "revision": message.revision,
            "type": message.type,
            "category": message.category,
            "severity": message.severity,
            **self.state.as_data(),
        }


@dataclass(frozen=True, slots=True)
class SupportInboxView:
    """The inbox at one moment."""

    user: str
    tenant: str
    revision: int
    """0: nothing was ever delivered to this user."""
    counts: InboxCounts
    messages: Sequence[SupportMessageView]
    """Last change first, deleted ones too."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "user": self.user,
            "tenant": self.tenant,
            "revision": self.revision,
            "counts": asdict(self.counts),
            "messages": list(self.messages),
        }


async def show(backend: Backend, request: ShowInboxRequest) -> SupportInboxView:
    """What is in an inbox, and what was.

    Raises:
        InvalidRequest: The tenant can't be one.
    """
    try:
        user = InboxUser(tenant_name(request.tenant), request.user)
    except ValueError as error:
        raise InvalidRequest(str(error), field="tenant") from None
    page = await backend.ledger.inbox_reading.latest(user, request.limit)
    return SupportInboxView(
        request.user,
        request.tenant,
        page.revision,
        page.counts,
        tuple(SupportMessageView(message) for message in page.messages),
    )
