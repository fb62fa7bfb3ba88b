"""Notifications: one in full, those that match, one cancelled."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.changes import Cancelled
from tidings.ledger.notifications.conflicts import PUBLISHED_AGAIN
from tidings.ledger.notifications.details import (
    AttemptRow,
    DeadLetterSummary,
    NotificationDetails,
    NotificationSummary,
    ProviderAttemptRow,
    Recipient,
    Transition,
)
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.records import POSTPONED
from tidings.ledger.notifications.search import DEFAULT_BOUNDS, Bounds
from tidings.ledger.operators.reports import LOOKED_AT, NO_NOTIFICATION
from tidings.ledger.steps import PATIENCE
from tidings.operations import cursors, waiting
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.remedies import Remedy, remedy_of
from tidings.operations.masks import discreet, shown
from tidings.operations.notification_json import story_as_data, summary_as_data
from tidings.operations.pages import PageView
from tidings.operations.recipients import masked_recipients
from tidings.operations.suggestions import did_you_mean

if TYPE_CHECKING:
    from tidings.operations.dead_letters.views import DeadLetterInFull
    from tidings.operations.inbox.message_states import MessageStateView

__all__ = [
    "LOOKED_AT",
    "AttemptRow",
    "Bounds",
    "CancelRequest",
    "CancelView",
    "DeadLetterSummary",
    "FilterWords",
    "Filters",
    "ListRequest",
    "ListedView",
    "NotificationDetails",
    "NotificationPage",
    "NotificationSummary",
    "NotificationView",
    "ProviderAttemptRow",
    "Recipient",
    "ShowRequest",
    "Transition",
    "UnclaimedView",
    "cancel",
    "list_",
    "show",
    "unused_words",
]


IN_APP: Final = "in_app"


class FilterWords(Protocol):
    """Words of producers' that a filter has."""

    @property
    def tenant(self) -> str | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def entity_type(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """A notification to be shown."""

    id: IdPrefix
    full_scan: bool = False
    """Look for its digits among all ids, not only for a moment among the newest."""
    reveal: bool = False
    """Show recipients and contents."""
    tenant: str | None = None
    """Only if it is this tenant's."""
    explain: bool = True
    """Say of an unknown one what may hold up what no worker has read; asks RabbitMQ, about all tenants."""


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A notification in full."""

    story: NotificationDetails
    """With people masked and an empty body, unless they are to be revealed."""
    waiting_reason: str
    """Why it waits; empty if it doesn't."""
    dead_letter: UUID | None = None
    """The open one of its end, or else the last open one."""
    remedy: Remedy | None = None
    """The action that lets it be delivered."""
    inbox: "MessageStateView | None" = None
    """What became of it in its user's inbox; None if it never was in one."""

    @classmethod
    def of(
        cls,
        story: NotificationDetails,
        waits: str,
        now: datetime,
        *,
        reveal: bool,
        inbox: "MessageStateView | None" = None,
    ) -> Self:
        """What is shown of a story."""
        notification = story.notification
        open_ = [
            dead_letter
            for dead_letter in story.dead_letters
            if dead_letter.state == DeadLetterState.OPEN
        ]
        of_its_end = [
            dead_letter for dead_letter in open_ if dead_letter.reason == notification.reason
        ] or open_
        remedy = None
        if of_its_end:
            expired = notification.expires_at is not None and notification.expires_at <= now
            remedy = remedy_of(story.body, of_its_end[-1].code, expired=expired)
        dead_letter = of_its_end[-1].id if of_its_end else None
        return cls(story if reveal else _masked_story(story), waits, dead_letter, remedy, inbox)

    @property
    def published_again(self) -> int:
        """How often its id was published again with other content."""
        return sum(
            transition.reason.startswith(PUBLISHED_AGAIN) for transition in self.story.history
        )

    @property
    def postponed_at(self) -> datetime | None:
        """When it was last postponed since its last attempt; None if it was not."""
        last = self.story.attempts[-1].started_at if self.story.attempts else None
        times = (
            transition.at
            for transition in self.story.history
            if transition.reason.startswith(POSTPONED)
        )
        return max((at for at in times if last is None or at > last), default=None)

    @property
    def strays(self) -> Sequence[DeadLetterSummary]:
        """Open dead letters of other messages with its id, which no worker could take.

        What was edited or replayed may have become this very notification.
        """
        return [
            dead_letter
            for dead_letter in self.story.dead_letters
            if dead_letter.reason in NO_NOTIFICATION
            and dead_letter.reason != self.story.notification.reason
            and dead_letter.state == DeadLetterState.OPEN
        ]

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            **story_as_data(self.story),
            "waiting_reason": self.waiting_reason or None,
            "inbox": self.inbox,
        }


def _masked_story(story: NotificationDetails) -> NotificationDetails:
    return replace(
        story,
        notification=_masked(story.notification),
        body=b"",
        history=tuple(
            replace(transition, reason=discreet(transition.reason)) for transition in story.history
        ),
        attempts=tuple(
            replace(attempt, message=attempt.message and discreet(attempt.message))
            for attempt in story.attempts
        ),
        dead_letters=tuple(
            replace(
                dead_letter,
                message=discreet(dead_letter.message),
                note=dead_letter.note and discreet(dead_letter.note),
            )
            for dead_letter in story.dead_letters
        ),
        recipients=masked_recipients(story.recipients, reveal=False),
    )


def _masked(summary: NotificationSummary) -> NotificationSummary:
    return replace(
        summary,
        recipient=shown(summary.recipient, reveal=False),
        reason=summary.reason and discreet(summary.reason),
        failure_message=summary.failure_message and discreet(summary.failure_message),
    )


@dataclass(frozen=True, slots=True)
class UnclaimedView:
    """The dead letters of a message that never became a notification, oldest first."""

    dead_letters: "tuple[DeadLetterInFull, ...]"

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        dead_letters = [dead_letter.dead_letter for dead_letter in self.dead_letters]
        return {
            "id": dead_letters[0].notification_id,
            "state": None,
            "dead_letters": [dead_letter.as_data() for dead_letter in dead_letters],
        }


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The newest notifications that match."""

    filters: Filters = field(default_factory=Filters)
    limit: int = 25
    reveal: bool = False
    """Show recipients."""
    cursor: str | None = None
    """Where the list goes on, as a page with the same filters says."""
    bounds: Bounds = DEFAULT_BOUNDS
    """How far to look for what matches."""
    explain: bool = True
    """Say why each waits, which takes a look at RabbitMQ, and count dead letters that are no notifications."""


@dataclass(frozen=True, slots=True)
class ListedView:
    """One notification in a list."""

    summary: NotificationSummary
    """With people masked, unless they are to be revealed."""
    waiting_reason: str
    """Why it waits; empty if it doesn't."""

    @classmethod
    def of(cls, summary: NotificationSummary, waits: str, *, reveal: bool) -> Self:
        """What is shown of one."""
        return cls(summary if reveal else _masked(summary), waits)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {**summary_as_data(self.summary), "waiting_reason": self.waiting_reason or None}


@dataclass(frozen=True, slots=True)
class NotificationPage(PageView[ListedView]):
    """Notifications, newest first."""

    searched_since: datetime | None = None
    """There may be more that were accepted before: it would have taken too long to look."""
    dead_letters_alone: Mapping[Reason, int] = field(default_factory=dict)
    """Open dead letters that never became notifications, if a list lacks them: counted up to `LOOKED_AT`."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "data": self.data,
            "next_cursor": self.next_cursor,
            "searched_since": self.searched_since,
        }


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A notification to cancel."""

    id: IdPrefix
    note: str
    """Kept in its history."""


@dataclass(frozen=True, slots=True)
class CancelView:
    """A cancelled notification."""

    id: UUID
    cancelled: Cancelled

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"id": self.id, "state": State.CANCELLED, **asdict(self.cancelled)}


async def show(backend: Backend, request: ShowRequest) -> NotificationView | UnclaimedView:
    """The story of one notification; or the dead letters of a message that never became one.

    Raises:
        NotFound: It is not known.
        Refused: There are several.
    """
    reports, patience = backend.ledger.reports, None if request.full_scan else PATIENCE
    found = (
        await reports.show(request.id, within=False)
        or await _behind(backend.ledger, request)
        or await reports.show(request.id, patience=patience)
    )
    if found is not None and not _is_of(found, request.tenant):
        found = None
    match found:
        case None if request.explain:
            raise NotFound(await waiting.unknown(backend))
        case None:
            raise NotFound(f"there is no notification {request.id.text}")
        case UnclaimedView():
            return found
        case story:
            around = await waiting.surroundings(backend, [story.notification])
            now = datetime.now(UTC)
            waits = waiting.why_it_waits(story.notification, around, now)
            if not request.explain and story.notification.state is State.SCHEDULED:
                waits = ""  # it would be another one each second, and `dispatch_at` says it
            inbox = await _in_inbox(backend, story.notification)
            return NotificationView.of(story, waits, now, reveal=request.reveal, inbox=inbox)


async def _in_inbox(
    backend: Backend, notification: NotificationSummary
) -> "MessageStateView | None":
    if notification.channel != IN_APP:
        return None
    from tidings.operations.inbox.message_states import (
        state_of,  # most notifications need none of it
    )

    return await state_of(backend, notification)


def _is_of(found: NotificationDetails | UnclaimedView, tenant: str | None) -> bool:
    """Whether a tenant may see it; a message that tells no tenant is seen by none."""
    if tenant is None:
        return True
    if isinstance(found, NotificationDetails):
        return found.notification.tenant == tenant
    return all(shown.dead_letter.tenant == tenant for shown in found.dead_letters)


async def _behind(
    ledger: PostgresLedger, request: ShowRequest
) -> NotificationDetails | UnclaimedView | None:
    """What an id stands for that is no notification's: the notification of that dead letter, or the dead letters of
    a message that never became one."""
    found = await ledger.reports.dead_letters(request.id)
    ids = {dead_letter.notification_id for dead_letter in found}
    if not found:
        return None
    if len(ids) > 1 or (None in ids and len(found) > 1):
        commands = ", ".join(f"`tidings dead show {dead_letter.id}`" for dead_letter in found)
        raise Refused(f"it is no notification; dead letters begin so: {commands}")
    (id_,) = ids
    if id_ is not None:
        story = await ledger.reports.show(id_)
        if story is not None and set(found) <= set(story.dead_letters):
            return story
        if story is None:
            found = await ledger.reports.dead_letters(IdPrefix.parse(str(id_)))
    from tidings.operations.dead_letters.lookup import in_full  # few notifications need it

    read = [await ledger.dead_letters.search.get(dead_letter.id) for dead_letter in found]
    now, reveal = datetime.now(UTC), request.reveal
    views = [
        in_full(*dead_letter, (), now, reveal=reveal)
        for dead_letter in read
        if dead_letter is not None
    ]
    return UnclaimedView(tuple(views)) if views else None


async def list_(backend: Backend, request: ListRequest) -> NotificationPage:
    """The newest that match, with the reason why each waits.

    Raises:
        InvalidRequest: The cursor is none, or of a list with other filters.
    """
    reports, after = backend.ledger.reports, None
    if request.cursor is not None:
        after = cursors.decode(request.cursor, request.filters, cursors.position)
    page = await reports.list(request.filters, request.limit, after=after, bounds=request.bounds)
    further = page.next(request.limit)
    cursor = None if further is None else cursors.encode(further, request.filters)
    if not request.explain:
        listed = [ListedView.of(summary, "", reveal=request.reveal) for summary in page.found]
        return NotificationPage(tuple(listed), cursor, page.searched_since)
    everything = request.filters == Filters() and after is None
    dead_letters = await reports.dead_letters_alone() if everything or not page.found else {}
    around, now = await waiting.surroundings(backend, page.found), datetime.now(UTC)
    listed = [
        ListedView.of(summary, waiting.why_it_waits(summary, around, now), reveal=request.reveal)
        for summary in page.found
    ]
    return NotificationPage(tuple(listed), cursor, page.searched_since, dead_letters)


async def unused_words(backend: Backend, words: FilterWords) -> Sequence[str]:
    """Which of a filter's words no recent notification has, in a sentence each with the one perhaps meant."""
    used = await backend.ledger.reports.words()
    given = (
        ("tenant", words.tenant, used.tenants),
        ("category", words.category, used.categories),
        ("entity", words.entity_type, used.entity_types),
    )
    return [
        f"Nothing recent has the {name} {word!r}{did_you_mean(word, known)}."
        for name, word, known in given
        if word is not None and word not in known
    ]


async def cancel(backend: Backend, actor: Actor, request: CancelRequest) -> CancelView:
    """Cancel a notification that is scheduled, waiting, or between two attempts.

    Raises:
        InvalidRequest: The note is empty.
        NotFound: It is not known.
        Refused: It is being sent, or has ended; says which.
    """
    if not (note := request.note.strip()):
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    found = await backend.ledger.reports.find(request.id)
    if found is None:
        raise NotFound(await waiting.unknown(backend))
    cancelled = await backend.ledger.changes.cancel(found, actor=str(actor), reason=note)
    return CancelView(found, cancelled)
