"""The ports of the in-app inbox: storing messages of users, and announcing that an inbox has changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from tidings.delivery.value import value


@value(frozen=True, slots=True)
class InboxMessage:
    """A message for the inbox of one user."""

    id: UUID
    """The notification's: a user has at most one message with it."""
    tenant: str
    user_id: str
    category: str
    type: str
    severity: str
    title: str
    body: str | None
    data: str | None
    """JSON."""
    action_url: str | None
    actions: str | None
    """JSON."""
    entity_type: str | None
    entity_id: str | None
    expires_at: datetime | None
    """When it is taken out of the inbox."""


class InboxChange(NamedTuple):
    """The inbox of a user has changed: what is known of it up to a lower revision is out of date."""

    tenant: str
    user_id: str
    revision: int
    """Of the change, committed."""


class Inbox(Protocol):
    """Stores messages of users."""

    async def deliver(self, message: InboxMessage, timeout: float) -> None:
        """Store a message and announce it; one that the user has, or had and deleted, is left as it is.

        Args:
            timeout: Seconds within which it returns or raises.

        Raises:
            CommitUnknown: It may have been stored. Delivering it again is harmless.
            LedgerUnavailable: It was not stored.
            LedgerRefused: It can't be stored.
            ConfigurationError: A person has to act first; the text says how.
        """
        ...

    async def check(self) -> None:
        """Look whether messages could be stored. Raises like `deliver`, but stores nothing."""
        ...


class InboxHints(Protocol):
    """Announces changes of inboxes to all processes that have live connections."""

    def announce(self, changes: Sequence[InboxChange]) -> None:
        """Announce committed changes, soon: it neither waits nor fails.

        An announcement may be lost. Whoever has live connections compares revisions now and then.
        """
        ...


class SilentHints:
    """Announces nothing: for processes without a connection, whose changes are noticed when revisions are compared."""

    def announce(self, changes: Sequence[InboxChange]) -> None:
        """Do nothing."""


class InboxListener(Protocol):
    """Hears of changes of inboxes, in the process that has the live connections."""

    def hinted(self, hints: Sequence[InboxChange]) -> None:
        """These inboxes have changed; called at once, from the event loop. It must not raise."""
        ...

    def missed(self) -> None:
        """Announcements may have been lost: compare the revisions of all users now. It must not raise."""
        ...
