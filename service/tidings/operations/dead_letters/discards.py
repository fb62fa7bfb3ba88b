"""Discards dead letters: they stay readable and are never replayed. Those that a filter finds are discarded by a job."""

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
    """What a discard would close now."""

    chosen: int
    """Those that were named, or the open ones that a filter finds."""
    not_open: Mapping[UUID, DeadLetterState]
    """Of those that were named: they would stay as they are."""
    sample: tuple[DeadLetterView, ...]
    """A few of those that would be closed."""

    @property
    def ready(self) -> int:
        """Those that would be closed."""
        return self.chosen - len(self.not_open)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "chosen": self.chosen,
            "would_discard": self.ready,
            "not_open": list(self.not_open),
            "sample": [dead_letter.as_data() for dead_letter in self.sample],
        }


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
    """Say what a discard would close; nothing changes. Ids choose alone, whatever state they are in; a filter finds what
    is open.

    Raises:
        InvalidRequest: The query chooses nothing in particular.
        Refused: An id is not known, or means several.
    """
    if not query.selects:
        raise InvalidRequest("give ids or filters")
    search = backend.ledger.dead_letters.search
    wanted = await query.resolved(search, DeadLetterState.OPEN)
    if wanted.ids:
        found = await search.list(DeadLetterFilter(ids=wanted.ids), len(wanted.ids))
        chosen = len(wanted.ids)
    else:
        found, chosen = await search.list(wanted, SAMPLE), await search.count(wanted)
    open_ = [dead_letter for dead_letter in found if dead_letter.state is DeadLetterState.OPEN]
    return DiscardDryRun(
        chosen,
        {
            dead_letter.id: dead_letter.state
            for dead_letter in found
            if dead_letter.state is not DeadLetterState.OPEN
        },
        tuple(DeadLetterView.of(dead_letter, reveal=False) for dead_letter in open_[:SAMPLE]),
    )


async def named(backend: Backend, query: DeadLetterQuery) -> tuple[UUID, ...]:
    """The dead letters whose ids a query has, whatever state they are in.

    Raises:
        Refused: An id is not known, or means several.
    """
    return (await query.resolved(backend.ledger.dead_letters.search)).ids


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
