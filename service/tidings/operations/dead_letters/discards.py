"""Closes dead letters for good: they stay readable and are never replayed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.letter import LetterState
from tidings.ledger.dead_letters.search import LetterFilter
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.views import DeadLetterView

CLOSED_AT_ONCE: Final = 1_000
SAMPLE: Final = 10
EXPLAINED: Final = 20
"""Of those that are left, so many are looked up to say why."""


@dataclass(frozen=True, slots=True)
class DiscardRehearsal:
    """What a discard would close: the very dead letters that a `DiscardRequest` may name then."""

    chosen: tuple[UUID, ...]
    states: Mapping[UUID, LetterState]
    """Of those that were named; those that a filter found are all open."""
    sample: tuple[DeadLetterView, ...]
    """A few of those that would be closed."""

    @property
    def ready(self) -> list[UUID]:
        """Those that would be closed."""
        return [letter for letter in self.chosen if self._is_open(letter)]

    @property
    def left(self) -> list[UUID]:
        """Those that are no longer open."""
        return [letter for letter in self.chosen if not self._is_open(letter)]

    def _is_open(self, letter: UUID) -> bool:
        return self.states.get(letter, LetterState.BURIED) is LetterState.BURIED

    def as_data(self) -> dict[str, Any]:
        """For other programs."""
        return {"would_discard": self.ready, "not_buried": self.left}


@dataclass(frozen=True, slots=True)
class DiscardRequest:
    """Dead letters to be closed."""

    letters: Sequence[UUID]
    note: str
    """Kept with them and in the history of their notifications."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """What a discard did."""

    closed: tuple[UUID, ...]
    left: tuple[UUID, ...]
    """Those that were no longer open."""
    states: Mapping[UUID, LetterState]
    """Of the first of `left`; one that is gone is not among them."""

    def as_data(self) -> dict[str, Any]:
        """For other programs."""
        return {"discarded": self.closed, "not_buried": self.left}


async def rehearse_discard(backend: Backend, query: DeadLetterQuery) -> DiscardRehearsal:
    """Choose what a discard would close. Ids choose alone, whatever state they are in; a filter finds what is open.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    if not query.selects:
        raise InvalidRequest("say which letters: ids or filters")
    search = backend.ledger.letters.search
    wanted = await query.resolved(search, LetterState.BURIED)
    chosen = wanted.ids or tuple(await search.ids(wanted))
    looked_at = chosen if wanted.ids else chosen[:SAMPLE]
    some = await search.list(LetterFilter(ids=looked_at), len(looked_at)) if looked_at else ()
    open_ = [letter for letter in some if letter.state is LetterState.BURIED][:SAMPLE]
    return DiscardRehearsal(
        chosen,
        {letter.id: letter.state for letter in some},
        tuple(DeadLetterView.of(letter, reveal=False) for letter in open_),
    )


async def discard(backend: Backend, actor: Actor, request: DiscardRequest) -> Discarded:
    """Close dead letters for good; one that is no longer open stays as it is.

    Raises:
        InvalidRequest: The note is empty.
    """
    if not (note := request.note.strip()):
        raise InvalidRequest("it is empty; say why, in a few words", field="note")
    letters, closed = backend.ledger.letters, list[UUID]()
    for start in range(0, len(request.letters), CLOSED_AT_ONCE):
        some = request.letters[start : start + CLOSED_AT_ONCE]
        closed += await letters.closings.discard(some, note, actor=str(actor))
    done = set(closed)
    left = tuple(letter for letter in request.letters if letter not in done)
    explained = tuple(sorted(left)[:EXPLAINED])
    found = await letters.search.list(LetterFilter(ids=explained), EXPLAINED) if left else ()
    return Discarded(tuple(closed), left, {letter.id: letter.state for letter in found})
