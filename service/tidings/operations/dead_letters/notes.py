"""Notes of operators on one dead letter or on a group of them: kept, replaced, removed."""

import re
from dataclasses import dataclass
from typing import Any

from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.dead_letters.notes import GroupNote
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import lookup
from tidings.operations.dead_letters.views import DeadLetterView
from tidings.operations.json_views import GROUP_NOTE, renamed

__all__ = [
    "GroupNote",
    "GroupNoteView",
    "GroupRequest",
    "annotate",
    "annotate_group",
    "known_group",
    "remove",
    "remove_from_group",
]


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """A group of dead letters."""

    fingerprint: str
    """Or its first digits."""
    tenant: str | None = None
    """This one's group; None: that of all tenants together."""


@dataclass(frozen=True, slots=True)
class GroupNoteView:
    """The note of a group."""

    fingerprint: str
    note: GroupNote | None
    """None: it was removed."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        if self.note is None:
            return {"fingerprint": self.fingerprint, "note": None}
        return {"fingerprint": self.fingerprint, **renamed(self.note, GROUP_NOTE)}


async def annotate(
    backend: Backend, actor: Actor, id: IdPrefix, note: str, tenant: str | None = None
) -> DeadLetterView:
    """Keep a note with an open dead letter, in the place of the one that it has.

    Args:
        backend: The connections.
        actor: Kept with it.
        id: The dead letter's, or its notification's.
        note: It must not be empty.
        tenant: Only if it is this tenant's.

    Raises:
        NotFound: There is none, or it is another tenant's.
        InvalidRequest: The note is empty.
        Refused: It is not open.
    """
    return await _annotate(backend, actor, id, stated(note), tenant)


async def remove(
    backend: Backend, actor: Actor, id: IdPrefix, tenant: str | None = None
) -> DeadLetterView:
    """Remove the note of an open dead letter; one without a note stays as it is. Raises like `annotate`."""
    found, _ = await lookup.stored(backend, id, tenant)
    if found.note is None:
        return DeadLetterView.of(found, reveal=False)
    return await _annotate(backend, actor, id, None, tenant)


async def annotate_group(
    backend: Backend, actor: Actor, request: GroupRequest, note: str
) -> GroupNoteView:
    """Keep a note with a group, in the place of the one that it has.

    Raises:
        NotFound: There is no such group.
        InvalidRequest: The note is empty.
        Refused: Several groups begin so.
    """
    text, group = stated(note), await known_group(backend, request)
    notes = backend.ledger.dead_letters.notes
    return GroupNoteView(
        group, await notes.annotate_group(group, request.tenant, text, actor=str(actor))
    )


async def remove_from_group(backend: Backend, actor: Actor, request: GroupRequest) -> GroupNoteView:
    """Remove the note of a group.

    Raises:
        NotFound: There is no such group, or it has no note.
        Refused: Several groups begin so.
    """
    group, notes = await known_group(backend, request), backend.ledger.dead_letters.notes
    if not await notes.remove_from_group(group, request.tenant, actor=str(actor)):
        raise NotFound(f"the group {group} has no note")
    return GroupNoteView(group, None)


def stated(note: str) -> str:
    """A note, without the blanks around it.

    Raises:
        InvalidRequest: Nothing is left.
    """
    if not (text := note.strip()):
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    return text


async def _annotate(
    backend: Backend, actor: Actor, id: IdPrefix, note: str | None, tenant: str | None
) -> DeadLetterView:
    found, _ = await lookup.stored(backend, id, tenant)
    notes = backend.ledger.dead_letters.notes
    if not await notes.annotate(found.id, note, actor=str(actor)):
        raise Refused(
            f"dead letter {found.id} is {found.state}: only the note of an open one changes"
        )
    after, _ = await lookup.stored(backend, IdPrefix.parse(str(found.id)), tenant)
    return DeadLetterView.of(after, reveal=False)


async def known_group(backend: Backend, request: GroupRequest) -> str:
    """The fingerprint of a group in full.

    Raises:
        InvalidRequest: It is no fingerprint.
        NotFound: There is no such group.
        Refused: Several groups begin so.
    """
    named = request.fingerprint
    if not re.fullmatch(r"[0-9a-f]{1,64}", named):
        raise InvalidRequest(f"{named!r}: a fingerprint is hexadecimal", field="fingerprint")
    notes = backend.ledger.dead_letters.notes
    match await notes.groups_named(named, request.tenant):
        case []:
            raise NotFound(f"there is no group {named}; `tidings dead groups` shows them")
        case [only]:
            return only
        case several if named in several:
            return named
        case several:
            raise Refused(f"several groups begin with {named}: {', '.join(several)}")
