"""Marks messages of a user's inbox: read, archived, snoozed, deleted and so on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.inbox import InboxChange
from tidings.ledger.inbox.filters import MessageFilter
from tidings.ledger.inbox.marking import Mark, Marked, MarkVerb, UpTo
from tidings.ledger.inbox.messages import InboxUser
from tidings.operations.backend import Backend
from tidings.operations.inbox.listing import check_filter

__all__ = ["MarkRequest", "MarkVerb", "MarkedView", "mark"]

LONGEST_SNOOZE: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class MarkRequest:
    """What is to be done with which messages: with those of some ids, or with all of a list."""

    user: InboxUser
    verb: MarkVerb
    ids: Sequence[UUID] | None = None
    up_to: int | None = None
    """Those that the user can have seen at this revision."""
    wanted: MessageFilter | None = None
    """Of the list; without one, of the list that the verb is about."""
    until: datetime | None = None
    """Of a snooze."""
    action: str | None = None
    """The id of the action that was taken."""


@dataclass(frozen=True, slots=True)
class MarkedView:
    """The state of the inbox afterwards."""

    marked: Marked

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        marked = self.marked
        return {
            "revision": marked.revision,
            "counts": asdict(marked.counts),
            "changed": marked.changed,
        }


async def mark(backend: Backend, request: MarkRequest) -> MarkedView:
    """Mark messages. What is so already, is not the user's or is unknown is left alone and not counted.

    Raises:
        InvalidRequest: Neither ids nor a list is named, or both; the time of a snooze is not ahead, or more than a
            year; a message has no such action.
    """
    chosen = _chosen(request)
    if request.until is not None:
        _check_time(request.until, datetime.now(UTC))
    doing = Mark(request.verb, request.until, request.action)
    marked = await backend.ledger.inbox_marking.mark(request.user, doing, chosen)
    if marked.changed:
        announce(backend, request.user, marked.revision)
    return MarkedView(marked)


def _chosen(request: MarkRequest) -> Sequence[UUID] | UpTo:
    if (request.ids is None) == (request.up_to is None):
        raise InvalidRequest("name the messages: by `ids`, or all of a list by `up_to`")
    if request.up_to is not None:
        wanted = request.wanted or MessageFilter()
        check_filter(wanted, "filter/snoozed")
        return UpTo(request.up_to, _of_its_list(request.verb, wanted))
    if request.wanted is not None:
        raise InvalidRequest("it belongs to `up_to`: leave it out with `ids`", field="filter")
    return request.ids or ()


def _of_its_list(verb: MarkVerb, wanted: MessageFilter) -> MessageFilter:
    """All that is archived is meant to be unarchived, even if the filter doesn't say so."""
    match verb:
        case MarkVerb.UNARCHIVE:
            return replace(wanted, archived=True, snoozed=False)
        case MarkVerb.UNSNOOZE:
            return replace(wanted, archived=False, snoozed=True)
        case _:
            return wanted


def _check_time(until: datetime, now: datetime) -> None:
    if until <= now:
        raise InvalidRequest("it has passed: write a time to come", field="until")
    if until - now > LONGEST_SNOOZE:
        raise InvalidRequest(
            f"it is more than {LONGEST_SNOOZE.days} days ahead: write an earlier time",
            field="until",
        )


def announce(backend: Backend, user: InboxUser, revision: int) -> None:
    """Tell all processes with live connections of the user, once the change is committed."""
    backend.inbox_hints.announce([InboxChange(user.tenant, user.user_id, revision)])
