"""What one person got of late, across channels: for those who must answer "did she get it?"."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.finding import addresses
from tidings.operations.inbox import support
from tidings.operations.inbox.message_states import MessageStateView
from tidings.operations.inbox.support import ShowInboxRequest, SupportInboxView
from tidings.operations.notifications import (
    Bounds,
    Filters,
    ListedView,
    ListRequest,
    NotificationSummary,
    list_,
)
from tidings.operations.plain_words import IN_APP, PlainWords, plain_words
from tidings_events import DEFAULT_TENANT

LOOKED_UP: Final = "looked up a person"
DAYS: Final = 30
MOST: Final = 100
"""Notifications that are told of."""
INBOX: Final = 100
"""Messages of an inbox whose states are known, those that changed last."""
SEARCH: Final = Bounds(patience=0.05, step=2_500)


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """An address, a phone number or a user's id, as it was typed."""

    text: str
    tenant: str | None = None
    """Only what is this one's; None: of all."""
    test: bool = False
    """Tests, in place of what is no test."""


@dataclass(frozen=True, slots=True)
class ReceivedView:
    """One notification for the person."""

    listed: ListedView
    """With the recipient masked."""
    words: PlainWords

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {**self.listed.as_data(), **self.words.as_data()}


@dataclass(frozen=True, slots=True)
class PersonView:
    """What the person got."""

    since: datetime
    received: tuple[ReceivedView, ...]
    """Newest first."""
    users: tuple[tuple[str, str], ...] = ()
    """Tenant and user's id of those for whom these were."""
    inbox: SupportInboxView | None = None
    """Of the one user whom these are for; None if they are for none or several, or there is no inbox."""
    more: bool = False
    """There may be older ones in this time that are not told of."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "since": self.since,
            "notifications": self.received,
            "users": [{"tenant": tenant, "user_id": user} for tenant, user in self.users],
            "inbox": None
            if self.inbox is None
            else {"unread": self.inbox.counts.unread, "unseen": self.inbox.counts.unseen},
            "more": self.more,
        }


async def look_up(backend: Backend, actor: Actor, request: PersonRequest) -> PersonView:
    """What a person got in the last `DAYS` days; the audit trail has it before it is returned.

    What went to an address of exactly one user is told together with all else for that user.

    Raises:
        InvalidRequest: Nothing was typed.
        LedgerUnavailable: PostgreSQL is unavailable: nothing may be shown.
    """
    text = request.text.strip()
    if not text:
        raise InvalidRequest("type an address, a phone number or a user's id", field="person")
    since = datetime.now(UTC) - timedelta(days=DAYS)
    ways = addresses(text)
    found, more = await _listed(backend, request, since, ways, () if ways else (text,))
    users = _users(found) if ways else _tenants(found, request, text)
    if ways and len(users) == 1:
        [(_, user)] = users
        others, further = await _listed(backend, request, since, (), (user,))
        found, more = {**found, **others}, more or further
    inbox = await _inbox(backend, users) if not request.test else None
    newest = sorted(found.values(), key=lambda it: (it.accepted_at, it.id), reverse=True)[:MOST]
    await _note(backend, actor, request, newest, by_address=bool(ways))
    states = {} if inbox is None else {it.message.id: it.state for it in inbox.messages}
    received = tuple(_received(summary, states) for summary in newest)
    return PersonView(since, received, users, inbox, more or len(found) > MOST)


async def _listed(
    backend: Backend,
    request: PersonRequest,
    since: datetime,
    ways: Sequence[str],
    users: Sequence[str],
) -> tuple[dict[UUID, NotificationSummary], bool]:
    """What was sent to addresses or users, and whether there may be more. A message of an inbox has its user as recipient."""
    found, more = dict[UUID, NotificationSummary](), False
    given = Filters(since=since, tenant=request.tenant, test=request.test)
    wanted = [replace(given, recipients=tuple(ways))] if ways else []
    if users:
        by_user = replace(given, user_ids=tuple(users))
        by_inbox = replace(given, recipients=tuple(users), channels=(IN_APP,))
        wanted += [by_user, by_inbox]
    for filters in wanted:
        page = await list_(backend, ListRequest(filters, MOST, bounds=SEARCH, explain=False))
        found |= {listed.summary.id: listed.summary for listed in page.data}
        more = more or page.next_cursor is not None
    return found, more


def _users(found: Mapping[UUID, NotificationSummary]) -> tuple[tuple[str, str], ...]:
    """Tenant and id of those for whom these are."""
    known = {(it.tenant, it.user_id) for it in found.values() if it.user_id is not None}
    return tuple(sorted(known))


def _tenants(
    found: Mapping[UUID, NotificationSummary], request: PersonRequest, user: str
) -> tuple[tuple[str, str], ...]:
    """The user of this id in each tenant that has one; an inbox may be older than what was found."""
    tenants = {it.tenant for it in found.values()} or {request.tenant or DEFAULT_TENANT}
    return tuple((tenant, user) for tenant in sorted(tenants))


async def _inbox(backend: Backend, users: Collection[tuple[str, str]]) -> SupportInboxView | None:
    if len(users) != 1:
        return None
    [(tenant, user)] = users
    inbox = await support.show(backend, ShowInboxRequest(user, tenant, INBOX))
    return inbox if inbox.revision else None


def _received(
    summary: NotificationSummary, states: Mapping[UUID, MessageStateView]
) -> ReceivedView:
    """Where it is no message of an inbox, nothing is known of its being read."""
    words = plain_words(summary, states.get(summary.id) if summary.channel == IN_APP else None)
    return ReceivedView(ListedView(summary, ""), words)


async def _note(
    backend: Backend,
    actor: Actor,
    request: PersonRequest,
    newest: Sequence[NotificationSummary],
    *,
    by_address: bool,
) -> None:
    """Keep who looked, without naming the person: a notification's id leads there, as long as it is kept."""
    details = {
        "by": "address" if by_address else "user_id",
        "tenant": request.tenant,
        "notifications": len(newest),
        "newest": str(newest[0].id) if newest else None,
    }
    await backend.ledger.actions.note(str(actor), LOOKED_UP, "", details)
