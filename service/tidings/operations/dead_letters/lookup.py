"""Looks at dead letters: listed, counted in groups, one in full."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Self

from tidings.delivery.archiving import refusal
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import NotFound
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.dead_letters.groups import DeadLetterGroup
from tidings.ledger.dead_letters.notes import GroupNote
from tidings.ledger.dead_letters.open_groups import GroupPosition
from tidings.ledger.dead_letters.owners import GroupOwner
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.ledger.dead_letters.trends import Trend
from tidings.ledger.notifications.details import Recipient
from tidings.ledger.positions import Position
from tidings.ledger.steps import PATIENCE
from tidings.operations import cursors
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.body import MalformedEdit, checked
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.remedies import remedy_of, would_expire
from tidings.operations.dead_letters.views import (
    DeadLetterInFull,
    DeadLetterView,
)
from tidings.operations.json_views import ERROR, GROUP_NOTE, GROUP_OWNER, renamed
from tidings.operations.masks import discreet, veiled
from tidings.operations.pages import PageView, page_of
from tidings.operations.recipients import masked_recipients
from tidings_events.weight import too_heavy

__all__ = [
    "DeadLetterGroup",
    "DeadLetterGroupPage",
    "DeadLetterGroupView",
    "DeadLetterListRequest",
    "Trend",
    "groups",
    "in_full",
    "list_",
    "raw",
    "show",
]


@dataclass(frozen=True, slots=True)
class DeadLetterListRequest:
    """A page of dead letters."""

    query: DeadLetterQuery
    limit: int
    reveal: bool = False
    cursor: str | None = None
    """As the page before has it."""


@dataclass(frozen=True, slots=True)
class DeadLetterGroupView:
    """Dead letters with the same fault."""

    group: DeadLetterGroup
    notes: tuple[GroupNote, ...] = ()
    owners: tuple[GroupOwner, ...] = ()
    """Of its tenant, and of all tenants for those who may see them."""

    @classmethod
    def of(
        cls, group: DeadLetterGroup, notes: Sequence[GroupNote], owners: Sequence[GroupOwner]
    ) -> Self:
        """What is shown of one."""
        message = discreet(group.message)
        masked = group if message == group.message else replace(group, message=message)
        return cls(masked, tuple(notes), tuple(owners))

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            **renamed(self.group, {**ERROR, "dead_letters": "count", "example": "example_id"}),
            "notes": [renamed(note, GROUP_NOTE) for note in self.notes],
            "owners": [renamed(owner, GROUP_OWNER) for owner in self.owners],
        }


@dataclass(frozen=True, slots=True)
class DeadLetterGroupPage(PageView[DeadLetterGroupView]):
    """Groups, the largest first."""

    searched_since: datetime | None = None
    """Dead letters that came before were not looked at, and are not counted; None: all were."""


async def list_(backend: Backend, request: DeadLetterListRequest) -> PageView[DeadLetterView]:
    """The newest that match.

    Raises:
        InvalidRequest: The cursor is of another list.
        NotFound: One of the ids is not known.
        Refused: One of the ids means several.
    """
    search = backend.ledger.dead_letters.search
    wanted, after = await request.query.resolved(search), None
    if request.cursor is not None:
        after = cursors.decode(request.cursor, wanted, cursors.position)
    return page_of(
        await search.list(wanted, request.limit + 1, after),
        request.limit,
        partial(DeadLetterView.of, reveal=request.reveal),
        lambda last: cursors.encode(Position(last.dead_lettered_at, last.id), wanted),
    )


async def groups(
    backend: Backend,
    query: DeadLetterQuery,
    limit: int,
    cursor: str | None = None,
    *,
    patience: float | None = PATIENCE,
) -> DeadLetterGroupPage:
    """The largest groups that match; of open dead letters if the query names no state.

    Args:
        backend: The connections.
        query: Which dead letters.
        limit: At most so many groups.
        cursor: As the page before has it.
        patience: As for `DeadLetterGrouping.largest`.

    Raises:
        InvalidRequest: The cursor is of another list.
    """
    dead_letters = backend.ledger.dead_letters
    states = query.narrowed.states or (DeadLetterState.OPEN,)
    wanted = await query.resolved(dead_letters.search, *states)
    after = None if cursor is None else cursors.decode(cursor, wanted, _place)
    counted = await dead_letters.groups.largest(
        wanted, limit + 1, after, now=datetime.now(UTC), patience=patience
    )
    found = counted.groups
    # Operators keep notes on groups of what is no test.
    names = [] if wanted.test else [group.fingerprint for group in found]
    tenant = query.narrowed.tenant
    notes = await _notes_of_groups(backend, names, tenant, reveal=False)
    owners = await dead_letters.owners.of_groups(names, tenant)

    def view(group: DeadLetterGroup) -> DeadLetterGroupView:
        name = group.fingerprint
        return DeadLetterGroupView.of(group, notes.get(name, ()), owners.get(name, ()))

    def place(last: DeadLetterGroup) -> str:
        since = f" {counted.searched_since.isoformat()}" if counted.searched_since else ""
        return cursors.encode(f"{last.dead_letters} {last.fingerprint}{since}", wanted)

    page = page_of(found, limit, view, place)
    return DeadLetterGroupPage(page.data, page.next_cursor, counted.searched_since)


def _place(text: str) -> GroupPosition:
    dead_letters, fingerprint, *since = text.split(" ")
    searched_since = datetime.fromisoformat(since[0]) if since else None
    return GroupPosition(int(dead_letters), fingerprint, searched_since)


async def _notes_of_groups(
    backend: Backend, fingerprints: Iterable[str], tenant: str | None, *, reveal: bool
) -> Mapping[str, tuple[GroupNote, ...]]:
    """The notes of groups, by fingerprint: a tenant's own, or all (None)."""
    found = await backend.ledger.dead_letters.notes.of_groups(fingerprints, tenant)
    return {
        fingerprint: tuple(
            note if reveal else replace(note, note=discreet(note.note)) for note in notes
        )
        for fingerprint, notes in found.items()
    }


async def show(
    backend: Backend, id: IdPrefix, *, reveal: bool, tenant: str | None = None
) -> DeadLetterInFull:
    """Everything about one dead letter.

    Args:
        backend: The connections.
        id: Its id, or its notification's.
        reveal: Show people and content.
        tenant: Only if it is this tenant's.

    Raises:
        NotFound: There is none.
        Refused: There are several.
    """
    dead_letter, body = await stored(backend, id, tenant)
    recipients: Sequence[Recipient] = ()
    refused: str | None = None
    if (about := dead_letter.notification_id) is not None:
        standing = await backend.ledger.reports.standing(about)
        if standing is not None and dead_letter.tenant not in {None, standing.tenant}:
            refused = f"notification {about} is another tenant's"
        else:
            recipients = await backend.ledger.reports.recipients(about, dead_letter.epoch)
            objection = refusal(standing, dead_letter.epoch, force=False) if standing else None
            refused = objection.why if objection else None
    view = in_full(dead_letter, body, recipients, datetime.now(UTC), reveal=reveal, refused=refused)
    group = dead_letter.fingerprint
    noted = [] if view.dead_letter.test else [group]
    notes = await _notes_of_groups(backend, noted, tenant, reveal=reveal)
    return replace(view, group_notes=notes.get(group, ()))


async def raw(backend: Backend, id: IdPrefix) -> bytes:
    """The body of one dead letter, byte for byte. Raises like `show`."""
    return (await stored(backend, id))[1]


async def stored(
    backend: Backend, id: IdPrefix, tenant: str | None = None
) -> tuple[StoredDeadLetter, bytes]:
    """A dead letter and its body. Raises like `show`."""
    search = backend.ledger.dead_letters.search
    found = await search.get(await search.resolve(id))
    if found is None or tenant not in {None, found[0].tenant}:
        raise NotFound(f"there is no dead letter {id.text}; `tidings dead list` shows them")
    return found


def in_full(
    dead_letter: StoredDeadLetter,
    body: bytes,
    recipients: Sequence[Recipient],
    now: datetime,
    *,
    reveal: bool,
    refused: str | None = None,
) -> DeadLetterInFull:
    """The view of a stored one.

    Args:
        refused: Why it can't be sent again, whatever is in it.
    """
    problems: Sequence[str] = ()
    try:
        checked(body)
    except MalformedEdit as unreadable:
        problems = unreadable.problems if reveal else [*map(discreet, unreadable.problems)]
    heavy = too_heavy(body) is not None
    remedy = None
    if dead_letter.state is DeadLetterState.OPEN and refused is None:
        expired = would_expire(dead_letter, body, now)
        remedy = remedy_of(body, dead_letter.failure.code, expired=expired)
    return DeadLetterInFull(
        DeadLetterView.of(dead_letter, reveal=reveal),
        masked_recipients(recipients, reveal=reveal),
        body if reveal else None,
        veiled(body) if not (reveal or heavy) else None,
        heavy,
        tuple(problems),
        remedy,
        refused,
        digest=sha256(body).hexdigest(),
    )
