"""Notifications: one shown with its whole story, those that match listed, one called off."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger import Ledger
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.ledger.notifications.changes import Cancelled
from tidings.ledger.notifications.conflicts import PUBLISHED_AGAIN
from tidings.ledger.notifications.records import PUT_OFF
from tidings.ledger.notifications.search import Filters
from tidings.ledger.notifications.stories import (
    Asked,
    Burial,
    Change,
    Recipient,
    Story,
    Summary,
    Try,
)
from tidings.ledger.operators.reports import LOOKED_AT, NO_NOTIFICATION
from tidings.ledger.steps import PATIENCE
from tidings.operations import waiting
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.views import letter_as_data
from tidings.operations.masks import discreet, shown
from tidings.operations.recipients import recipients_as_data
from tidings.operations.suggestions import did_you_mean

__all__ = [
    "LOOKED_AT",
    "Asked",
    "Burial",
    "CancelRequest",
    "CancelView",
    "Change",
    "Filters",
    "ListRequest",
    "ListedView",
    "PageView",
    "Recipient",
    "ShowRequest",
    "Story",
    "StoryView",
    "Summary",
    "Try",
    "UnclaimedView",
    "cancel",
    "list_",
    "show",
    "unused_words",
]


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """A notification to be shown."""

    id: IdPrefix
    whole: bool = False
    """Look for its digits among all ids, not only for a moment among the newest."""


@dataclass(frozen=True, slots=True)
class StoryView:
    """A notification's whole story."""

    story: Story
    waits: str
    """Why it waits; empty if it does not."""

    @property
    def published_again(self) -> int:
        """How often its id was published again with other content."""
        return sum(one.reason.startswith(PUBLISHED_AGAIN) for one in self.story.history)

    @property
    def put_off_at(self) -> datetime | None:
        """When it was put off last since its last attempt ended; None if it was not."""
        last = self.story.attempts[-1].started_at if self.story.attempts else None
        times = (one.at for one in self.story.history if one.reason.startswith(PUT_OFF))
        return max((at for at in times if last is None or at > last), default=None)

    @property
    def strays(self) -> Sequence[Burial]:
        """Open dead letters of other messages with its id, which no worker could take.

        What was edited or replayed may have become this very notification.
        """
        return [
            one
            for one in self.story.letters
            if one.reason in NO_NOTIFICATION
            and one.reason != self.story.notification.reason
            and one.state == LetterState.BURIED
        ]

    def as_data(self, *, reveal: bool) -> dict[str, Any]:
        """For other programs."""
        data = asdict(self.story)
        notification, body = self.story.notification.data, data.pop("body")
        del data["notification"]
        data["attempts"] = [asdict(one) for one in self.story.attempts if not one.untried]
        notification["recipient"] = shown(notification["recipient"], reveal=reveal)
        data["recipients"] = recipients_as_data(self.story.recipients, reveal=reveal)
        if reveal:
            notification["body"] = json.loads(body)
        else:
            for one in data["letters"]:
                one["message"] = discreet(one["message"])
            for one in data["history"]:
                one["reason"] = discreet(one["reason"])
        return {**notification, **data, "waits": self.waits or None}


@dataclass(frozen=True, slots=True)
class UnclaimedView:
    """The dead letters of a message that never became a notification, each with its body, oldest first."""

    letters: tuple[tuple[StoredLetter, bytes], ...]

    def as_data(self, *, reveal: bool) -> dict[str, Any]:
        """For other programs: no notification, and its letters."""
        letters = [letter_as_data(one, reveal=reveal) for one, _ in self.letters]
        return {"id": self.letters[0][0].notification_id, "state": None, "letters": letters}


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The newest notifications that match."""

    filters: Filters = field(default_factory=Filters)
    limit: int = 25
    before: IdPrefix | None = None
    """Only those older than this one."""


@dataclass(frozen=True, slots=True)
class ListedView:
    """One notification in a list."""

    summary: Summary
    waits: str
    """Why it waits; empty if it does not."""

    def as_data(self, *, reveal: bool) -> dict[str, Any]:
        """For other programs."""
        message = self.summary.failure_message
        return {
            **self.summary.data,
            "recipient": shown(self.summary.recipient, reveal=reveal),
            "failure_message": message if reveal or not message else discreet(message),
            "waits": self.waits or None,
        }


@dataclass(frozen=True, slots=True)
class PageView:
    """Notifications, newest first."""

    found: tuple[ListedView, ...]
    looked_back_to: datetime | None
    """There may be more that were accepted before: it would have taken too long to look."""
    letters_alone: Mapping[Reason, int]
    """Open dead letters that never became notifications, if a list lacks them: counted up to `LOOKED_AT`."""

    def as_data(self, *, reveal: bool) -> list[dict[str, Any]]:
        """For other programs."""
        return [one.as_data(reveal=reveal) for one in self.found]


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A notification to be called off."""

    id: IdPrefix
    why: str
    """Kept in its history."""


@dataclass(frozen=True, slots=True)
class CancelView:
    """A notification that was called off."""

    id: UUID
    cancelled: Cancelled

    def as_data(self) -> dict[str, Any]:
        """For other programs."""
        return {"id": self.id, "state": State.CANCELLED, **asdict(self.cancelled)}


async def show(backend: Backend, request: ShowRequest) -> StoryView | UnclaimedView:
    """The story of one notification; or the dead letters of a message that never became one.

    Raises:
        Refused: It is not known, or there are several.
    """
    reports, patience = backend.ledger.reports, None if request.whole else PATIENCE
    found = (
        await reports.show(request.id, within=False)
        or await _behind(backend.ledger, request.id)
        or await reports.show(request.id, patience=patience)
    )
    match found:
        case None:
            raise Refused(await waiting.unknown(backend))
        case UnclaimedView():
            return found
        case story:
            around = await waiting.surroundings(backend, [story.notification])
            now = datetime.now(UTC)
            return StoryView(story, waiting.why_it_waits(story.notification, around, now))


async def _behind(ledger: Ledger, prefix: IdPrefix) -> Story | UnclaimedView | None:
    """What an id stands for that is no notification's: the notification of that dead letter, or the letters of
    a message that never became one."""
    found = await ledger.reports.letters(prefix)
    ids = {one.notification_id for one in found}
    if not found:
        return None
    if len(ids) > 1 or (None in ids and len(found) > 1):
        commands = ", ".join(f"`tidings dead show {letter.id}`" for letter in found)
        raise Refused(f"it is no notification; dead letters begin so: {commands}")
    (id_,) = ids
    if id_ is not None:
        if (story := await ledger.reports.show(id_)) is not None:
            return story
        found = await ledger.reports.letters(IdPrefix.parse(str(id_)))
    read = [await ledger.letters.search.get(one.id) for one in found]
    return UnclaimedView(tuple(one for one in read if one is not None)) if any(read) else None


async def list_(backend: Backend, request: ListRequest) -> PageView:
    """The newest that match, and why each of them waits.

    Raises:
        Refused: The notification to go on from is not known.
    """
    reports, before = backend.ledger.reports, request.before
    older = await reports.find(before) if before else None
    if before and older is None:
        raise Refused(f"there is no notification {before.text} to go on from")
    page = await reports.list(request.filters, request.limit, before=older)
    everything = request.filters == Filters() and not before
    letters = await reports.letters_alone() if everything or not page.found else {}
    around, now = await waiting.surroundings(backend, page.found), datetime.now(UTC)
    listed = (ListedView(one, waiting.why_it_waits(one, around, now)) for one in page.found)
    return PageView(tuple(listed), page.looked_back_to, letters)


async def unused_words(
    backend: Backend, category: str | None, entity_type: str | None
) -> Sequence[str]:
    """Which of these words no recent notification has, in a sentence each with the one perhaps meant."""
    words = await backend.ledger.reports.words()
    given = (("category", category, words.categories), ("entity", entity_type, words.entity_types))
    return [
        f"Nothing recent has the {name} {word!r}{did_you_mean(word, known)}."
        for name, word, known in given
        if word is not None and word not in known
    ]


async def cancel(backend: Backend, actor: Actor, request: CancelRequest) -> CancelView:
    """Call off a notification that is scheduled, waiting, or between two attempts.

    Raises:
        InvalidRequest: No reason is given.
        Refused: It is not known, is being sent, or has ended; says which.
    """
    if not (why := request.why.strip()):
        raise InvalidRequest("it is empty; say why, in a few words", field="why")
    found = await backend.ledger.reports.find(request.id)
    if found is None:
        raise Refused(await waiting.unknown(backend))
    cancelled = await backend.ledger.changes.cancel(found, actor=str(actor), reason=why)
    return CancelView(found, cancelled)
