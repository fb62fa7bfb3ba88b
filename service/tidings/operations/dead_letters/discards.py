"""Discards dead letters: they stay readable and are never replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.views import DeadLetterView

CLOSED_AT_ONCE: Final = 1_000
SAMPLE: Final = 10
EXPLAINED: Final = 20
"""Of those that are left, so many are looked up to say why."""


@dataclass(frozen=True, slots=True)
class DiscardDryRun:
    """What a discard would close: the very dead letters that a `DiscardRequest` may name then."""

    chosen: tuple[UUID, ...]
    states: Mapping[UUID, DeadLetterState]
    """Of those that were named; those that a filter found are all open."""
    sample: tuple[DeadLetterView, ...]
    """A few of those that would be closed."""

    @property
    def ready(self) -> list[UUID]:
        """Those that would be closed."""
        return [dead_letter for dead_letter in self.chosen if self._is_open(dead_letter)]

    @property
    def left(self) -> list[UUID]:
        """Those that are no longer open."""
        return [dead_letter for dead_letter in self.chosen if not self._is_open(dead_letter)]

    def _is_open(self, dead_letter: UUID) -> bool:
        return self.states.get(dead_letter, DeadLetterState.OPEN) is DeadLetterState.OPEN

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"would_discard": self.ready, "not_open": self.left}


@dataclass(frozen=True, slots=True)
class DiscardRequest:
    """Dead letters to be closed."""

    dead_letters: Sequence[UUID]
    note: str
    """Kept with them and in the history of their notifications."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """What a discard did."""

    closed: tuple[UUID, ...]
    left: tuple[UUID, ...]
    """Those that were no longer open."""
    states: Mapping[UUID, DeadLetterState]
    """Of the first of `left`; one that is gone is not among them."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"discarded": self.closed, "not_open": self.left}


async def preview_discard(backend: Backend, query: DeadLetterQuery) -> DiscardDryRun:
    """Choose what a discard would close. Ids choose alone, whatever state they are in; a filter finds what is open.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    if not query.selects:
        raise InvalidRequest("give ids or filters")
    search = backend.ledger.dead_letters.search
    wanted = await query.resolved(search, DeadLetterState.OPEN)
    chosen = wanted.ids or tuple(await search.ids(wanted))
    looked_at = chosen if wanted.ids else chosen[:SAMPLE]
    some = await search.list(DeadLetterFilter(ids=looked_at), len(looked_at)) if looked_at else ()
    open_ = [dead_letter for dead_letter in some if dead_letter.state is DeadLetterState.OPEN][
        :SAMPLE
    ]
    return DiscardDryRun(
        chosen,
        {dead_letter.id: dead_letter.state for dead_letter in some},
        tuple(DeadLetterView.of(dead_letter, reveal=False) for dead_letter in open_),
    )


async def discard(backend: Backend, actor: Actor, request: DiscardRequest) -> Discarded:
    """Close dead letters for good; one that is no longer open stays as it is.

    Raises:
        InvalidRequest: The note is empty.
    """
    if not (note := request.note.strip()):
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    dead_letters, closed = backend.ledger.dead_letters, list[UUID]()
    for start in range(0, len(request.dead_letters), CLOSED_AT_ONCE):
        some = request.dead_letters[start : start + CLOSED_AT_ONCE]
        closed += await dead_letters.closings.discard(some, note, actor=str(actor))
    done = set(closed)
    left = tuple(dead_letter for dead_letter in request.dead_letters if dead_letter not in done)
    explained = tuple(sorted(left)[:EXPLAINED])
    found = (
        await dead_letters.search.list(DeadLetterFilter(ids=explained), EXPLAINED) if left else ()
    )
    return Discarded(
        tuple(closed), left, {dead_letter.id: dead_letter.state for dead_letter in found}
    )
