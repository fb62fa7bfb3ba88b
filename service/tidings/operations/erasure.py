"""Erasing a person from what is stored."""

from dataclasses import dataclass
from typing import Final

from tidings.delivery.errors import InvalidRequest, Refused
from tidings.ledger.erasure import Person, Traces
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend

EXAMPLES: Final = 5
"""Ids that are named with a refusal."""


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """Whom to erase, by one of the two, and why."""

    recipient: str | None
    user: str | None
    why: str | None
    """Needed unless it is a dry run; kept, so it must not name the person."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ErasureView:
    """What was erased, or would be."""

    notifications: int
    dead_letters: int
    discarded: int
    """Dead letters that were open: they are discarded first."""
    unfinished: int
    """Notifications, or replays, that stand in the way; 0 once it is done."""
    dry_run: bool


async def erase(backend: Backend, actor: Actor, request: EraseRequest) -> ErasureView:
    """Erase a person from what has ended, and from their dead letters, of which those that are open are discarded.

    Raises:
        InvalidRequest: It names no one, or two, or no reason.
        Refused: Something of theirs is unfinished, and nothing was erased.
    """
    person = _person(request)
    found = await backend.ledger.erasures.find(person)
    view = ErasureView(
        len(found.ended),
        len(found.closed) + len(found.open),
        len(found.open),
        len(found.unfinished) + len(found.replaying),
        request.dry_run,
    )
    if request.dry_run:
        return view
    _check_that_all_has_ended(found)
    why = (request.why or "").strip()
    if found.open:
        await backend.ledger.letters.closings.discard(found.open, why, actor=str(actor))
    await backend.ledger.erasures.erase(found, actor=str(actor), why=why)
    return view


def _person(request: EraseRequest) -> Person:
    if (request.recipient is None) == (request.user is None):
        raise InvalidRequest("give --recipient or --user, and one of them only")
    why = (request.why or "").strip()
    if not why and not request.dry_run:
        raise InvalidRequest("say why, in a few words that don't name the person", field="why")
    if request.recipient and request.recipient in why:
        raise InvalidRequest("it is kept, so it must not hold the address", field="why")
    return Person(request.recipient, request.user)


def _check_that_all_has_ended(found: Traces) -> None:
    if found.unfinished:
        raise Refused(
            f"{_named(found.unfinished)} unfinished: call each off with `tidings cancel ID --why …`, or wait until "
            "it has ended; nothing was erased"
        )
    if found.replaying:
        raise Refused(
            f"{_named(found.replaying)} being replayed: wait until that has ended; nothing was erased"
        )


def _named(ids: tuple[object, ...]) -> str:
    shown = ", ".join(map(str, ids[:EXAMPLES]))
    more = f" and {len(ids) - EXAMPLES:,} more" if len(ids) > EXAMPLES else ""
    return f"{shown}{more} {'is' if len(ids) == 1 else 'are'}"
