"""Edits dead letters: each is superseded by an edited one. One alone, or many alike, a batch at a time."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, Refused, TidingsError
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.dead_letters.editing import NoEdit, NotEdited
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.dead_letters.search import Chosen
from tidings.ledger.steps import NO_LIMIT, PATIENCE, TimeLimit
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.body import changes
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.dead_letters.lookup import stored
from tidings.operations.dead_letters.others import overtaken, why_refused
from tidings.operations.dead_letters.pacing import AT_ONCE, FEW, INTERRUPTED, batches
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.masks import discreet

SAMPLE: Final = 3
"""Edits of which it is shown what they change."""


@dataclass(frozen=True, slots=True)
class EditableDeadLetter:
    """An open dead letter, with all that is in it."""

    id: UUID
    notification_id: UUID | None
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EditRequest:
    """Dead letters to be edited alike."""

    dead_letters: Sequence[Chosen]
    change: FieldChange
    dry_run: bool = False
    """Change nothing."""
    full_scan: bool = False
    """Dry run on all of them, not only for a moment on the oldest."""
    reveal: bool = False


@dataclass(frozen=True, slots=True)
class SupersedeRequest:
    """A dead letter and the body, which can be read, of the one to stand in its place."""

    dead_letter: UUID
    body: bytes = field(repr=False)
    based_on: str | None = None
    """SHA-256 of the body that was edited, in hexadecimal: refused if another is stored by now."""
    note: str = ""
    """Kept with the new one, and in the history of its notification."""


@dataclass(frozen=True, slots=True)
class EditSample:
    """What an edit changes in one dead letter."""

    dead_letter: UUID
    changes: Sequence[str] | None
    """As `body.changes`."""


@dataclass(slots=True)
class EditView:
    """What became of dead letters that were edited alike."""

    chosen: int
    new: list[UUID] = field(default_factory=list)
    """Dead letters that stand in the place of others."""
    sample: list[EditSample] = field(default_factory=list)
    unchanged: list[UUID] = field(default_factory=list)
    """Dead letters that were so already."""
    refused: list[NotEdited] = field(default_factory=list)
    stopped: str | None = None
    """Why the rest was left alone."""
    cut_short: bool = False
    """Whether the rest was left out for want of patience."""
    dry_run: bool = False
    """Whether nothing was changed."""

    @property
    def left(self) -> int:
        """Dead letters that were not looked at because it stopped."""
        return self.chosen - len(self.new) - len(self.unchanged) - len(self.refused)

    @property
    def well(self) -> bool:
        """Whether nothing needs a person's attention."""
        return not (self.refused or self.stopped)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "chosen": self.chosen,
            "would_edit" if self.dry_run else "edited": len(self.new),
            "dead_letters": [] if self.dry_run else self.new,
            "unchanged": len(self.unchanged),
            "not_checked" if self.cut_short else "not_processed": self.left,
            "refused_by_reason": dict(Counter(refusal.reason for refusal in self.refused)),
            "refused": [
                {
                    "dead_letter": refusal.dead_letter,
                    "reason": refusal.reason,
                    "message": refusal.message,
                }
                for refusal in self.refused
            ],
            "stopped": self.stopped,
        }


async def choose(backend: Backend, query: DeadLetterQuery) -> Sequence[Chosen]:
    """Open dead letters to be edited.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    if not query.selects:
        raise InvalidRequest("give ids or filters")
    search = backend.ledger.dead_letters.search
    return await search.chosen(await query.resolved(search, DeadLetterState.OPEN))


async def edit(
    backend: Backend, actor: Actor, request: EditRequest, interrupted: asyncio.Event
) -> EditView:
    """Edit dead letters alike, each for itself: if it can't be edited it stays as it was, with the reason.

    Args:
        interrupted: Ends it after the batch that is under way.

    Raises:
        InvalidRequest: The change is written wrongly, whatever it is to change.
    """
    request.change.check()
    dry_run = request.dry_run
    clock = TimeLimit(PATIENCE) if dry_run and not request.full_scan else NO_LIMIT
    done = EditView(len(request.dead_letters), dry_run=dry_run)
    for batch in batches(request.dead_letters, None, FEW if dry_run else AT_ONCE):
        if dry_run and done.left < done.chosen and clock.over:
            done.cut_short = True
            break
        if interrupted.is_set():
            done.stopped = INTERRUPTED
            break
        try:
            edits = await backend.ledger.dead_letters.editing.edit(
                [dead_letter.id for dead_letter in batch],
                request.change,
                expires_at=Policies(backend.settings).expires_at,
                actor=str(actor),
                dry_run=dry_run,
            )
        except TidingsError as error:
            done.stopped = str(error)
            break
        done.new += [edited.new for edited in edits.edited]
        done.sample += [
            EditSample(
                edited.dead_letter, changes(edited.before, edited.after, reveal=request.reveal)
            )
            for edited in edits.edited[: SAMPLE - len(done.sample)]
        ]
        for refusal in edits.not_edited:
            if refusal.reason is NoEdit.UNCHANGED:
                done.unchanged.append(refusal.dead_letter)
            else:
                done.refused.append(replace(refusal, message=discreet(refusal.message)))
    return done


async def open_dead_letter(
    backend: Backend, id: IdPrefix, tenant: str | None = None
) -> EditableDeadLetter:
    """One dead letter, to be edited.

    Args:
        backend: The connections.
        id: Its id, or its notification's.
        tenant: Only if it is this tenant's.

    Raises:
        Refused: There is none, there are several, or it is no longer open.
    """
    dead_letter, body = await stored(backend, id, tenant)
    if dead_letter.state is not DeadLetterState.OPEN:
        raise overtaken(dead_letter)
    return EditableDeadLetter(dead_letter.id, dead_letter.notification_id, body)


async def supersede(backend: Backend, actor: Actor, request: SupersedeRequest) -> UUID:
    """Put another dead letter in the place of one; the new one's id.

    Raises:
        Refused: The dead letter is not open any more, says who did what with it; or it has another body by now, or its
            notification has moved on.
    """
    expires_at = Policies(backend.settings).expires_at
    try:
        return await backend.ledger.dead_letters.editing.supersede(
            *(request.dead_letter, request.body),
            based_on=request.based_on,
            expires_at=expires_at,
            actor=str(actor),
            note=request.note,
        )
    except Refused as refused:
        raise await why_refused(backend, request.dead_letter, refused) from None
