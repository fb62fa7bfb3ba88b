"""The outbox that RabbitMQ's absence filled: listed, published at once, given up or taken up again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.ledger.notifications.outbox_entries import EnteredNotification, EntryStatus
from tidings.ledger.positions import Position
from tidings.operations import cursors
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.json_views import renamed
from tidings.operations.pages import PageView, page_of

__all__ = [
    "DecideRequest",
    "DecidedView",
    "EnteredNotification",
    "EntryStatus",
    "ListOutboxRequest",
    "NotDecided",
    "RetryRequest",
    "list_",
    "mark_failed",
    "mark_pending",
    "retry",
    "retry_some",
]

MOST: Final = 1_000
"""Entries in one list, or decided about by one request."""
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class ListOutboxRequest:
    """The newest entries that match."""

    statuses: Sequence[EntryStatus] = ()
    """Of any if there is none."""
    user_id: str | None = None
    tenant: str | None = None
    limit: int = 25
    cursor: str | None = None
    """As the page before has it."""
    test: bool | None = None
    """Tests only, or none of them; None: both."""


@dataclass(frozen=True, slots=True)
class OutboxEntryView:
    """An entry of a list."""

    entry: EnteredNotification

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return renamed(self.entry, {"tries": "failed_publish_count"})


@dataclass(frozen=True, slots=True)
class DecideRequest:
    """Entries to decide about."""

    ids: Sequence[UUID]
    tenant: str | None = None
    note: str = ""
    """Kept in their history."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """Entries that failed, or that RabbitMQ refused, to publish at once."""

    tenant: str | None = None
    max_age: float = DAY
    """Seconds since they entered the outbox."""
    limit: int = 50
    force: bool = False
    """Of any age."""
    note: str = ""
    dry_run: bool = False
    test: bool | None = None
    """Tests only, or none of them; None: both."""


@dataclass(frozen=True, slots=True)
class NotDecided:
    """An entry that stays as it is."""

    id: UUID
    reason: str
    unknown: bool
    """Whether the outbox has no such entry."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"id": self.id, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class DecidedView:
    """What was, or would be, done, and what could not be."""

    decided: tuple[EnteredNotification, ...]
    """As they were before."""
    failed: tuple[NotDecided, ...] = ()
    dry_run: bool = False

    @property
    def succeeded(self) -> tuple[UUID, ...]:
        """Ids of those that are, or would be, changed."""
        return tuple(entry.id for entry in self.decided)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view; it names a dry run."""
        return {
            **({"dry_run": True} if self.dry_run else {}),
            "succeeded_ids": list(self.succeeded),
            "failures": [entry.as_data() for entry in self.failed],
        }


async def list_(backend: Backend, request: ListOutboxRequest) -> PageView[OutboxEntryView]:
    """The newest entries that match.

    Raises:
        InvalidRequest: The limit is out of range, or the cursor is of another list.
    """
    _check_limit(request.limit)
    listed = ("outbox", tuple(request.statuses), request.user_id, request.tenant, request.test)
    after = None
    if request.cursor is not None:
        after = cursors.decode(request.cursor, listed, cursors.position)
    found = await backend.ledger.outbox_entries.list(
        request.statuses,
        request.user_id,
        request.tenant,
        request.limit + 1,
        after,
        test=request.test,
    )
    return page_of(
        found,
        request.limit,
        OutboxEntryView,
        lambda last: cursors.encode(Position(last.entered_at, last.id), listed),
    )


async def retry(backend: Backend, actor: Actor, request: RetryRequest) -> DecidedView:
    """Publish at once what failed or was refused.

    Raises:
        InvalidRequest: The limit is out of range.
    """
    _check_limit(request.limit)
    max_age = None if request.force else request.max_age
    ids = await backend.ledger.outbox_entries.unpublished(
        max_age, request.tenant, request.limit, test=request.test
    )
    return await retry_some(
        backend, actor, DecideRequest(ids, request.tenant, request.note, request.dry_run)
    )


async def retry_some(backend: Backend, actor: Actor, request: DecideRequest) -> DecidedView:
    """Publish these at once, whatever their status."""
    entries, note = backend.ledger.outbox_entries, request.note
    note = note or "published again from the outbox, by hand"
    return await _decide(
        backend, request, lambda ids: entries.publish_at_once(ids, str(actor), note)
    )


async def mark_pending(backend: Backend, actor: Actor, request: DecideRequest) -> DecidedView:
    """Publish these at once, as if nobody had tried."""
    entries, note = backend.ledger.outbox_entries, request.note
    note = note or "marked as pending in the outbox"
    return await _decide(
        backend, request, lambda ids: entries.publish_at_once(ids, str(actor), note, afresh=True)
    )


async def mark_failed(backend: Backend, actor: Actor, request: DecideRequest) -> DecidedView:
    """Give these up: they are not published until somebody retries them or marks them as pending."""
    entries, note = backend.ledger.outbox_entries, request.note
    note = note or "marked as failed in the outbox"
    return await _decide(backend, request, lambda ids: entries.give_up(ids, str(actor), note))


def _check_limit(limit: int) -> None:
    if not 0 < limit <= MOST:
        raise InvalidRequest(f"{limit} is not a number from 1 to {MOST:,}", field="limit")


async def _decide(
    backend: Backend,
    request: DecideRequest,
    decision: Callable[[Sequence[UUID]], Awaitable[set[UUID]]],
) -> DecidedView:
    entries = backend.ledger.outbox_entries
    found = await entries.find(request.ids, request.tenant)
    own = [id_ for id_ in request.ids if id_ in found]
    changed = await (entries.open(own) if request.dry_run else decision(own))
    left = [id_ for id_ in request.ids if id_ not in changed]
    now = await entries.find(left, request.tenant) if left else {}
    return DecidedView(
        tuple(found[id_] for id_ in request.ids if id_ in changed),
        tuple(_not_decided(id_, now.get(id_)) for id_ in left),
        request.dry_run,
    )


def _not_decided(id: UUID, entry: EnteredNotification | None) -> NotDecided:
    if entry is None:
        return NotDecided(id, "the outbox has no such entry", unknown=True)
    cancelled = entry.status is EntryStatus.CANCELLED
    reason = "it was cancelled" if cancelled else "it has been published"
    return NotDecided(id, reason, unknown=False)
