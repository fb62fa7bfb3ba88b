"""Acts on one dead letter: shown with its history, edited, discarded, replayed now."""

import base64
import json
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, Plan
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.notifications.details import Transition
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import discards, edits, lookup
from tidings.operations.dead_letters.body import MalformedEdit, checked, with_fields
from tidings.operations.dead_letters.discards import DiscardRequest
from tidings.operations.dead_letters.edits import SupersedeRequest
from tidings.operations.dead_letters.notes import stated
from tidings.operations.dead_letters.others import overtaken, why_refused
from tidings.operations.dead_letters.views import DeadLetterInFull, DeadLetterView
from tidings.operations.jobs import control
from tidings.operations.jobs.views import JobView
from tidings.operations.json_views import ANSWER, GROUP_NOTE, renamed
from tidings.operations.masks import discreet
from tidings.operations.reveals import note_reveal


@dataclass(frozen=True, slots=True)
class DeadLetterRequest:
    """One dead letter of a tenant."""

    id: UUID
    tenant: str | None = None
    """Only if it is this tenant's; None for any."""

    @property
    def prefix(self) -> IdPrefix:
        """For the search."""
        return IdPrefix.parse(str(self.id))


@dataclass(frozen=True, slots=True)
class DeadLetterHistory:
    """One dead letter in full, with what happened to its notification."""

    in_full: DeadLetterInFull
    history: tuple[Transition, ...]

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        found, body = self.in_full, self.in_full.body
        return {
            **found.dead_letter.as_data(),
            "recipient_results": [renamed(recipient, ANSWER) for recipient in found.recipients],
            "group_notes": [renamed(note, GROUP_NOTE) for note in found.group_notes],
            "history": [asdict(transition) for transition in self.history],
            "outline": None if found.outline is None else json.loads(found.outline),
            "problems": list(found.problems),
            "not_replayable_reason": found.refused,
            "body_sha256": found.digest,
            "body_text": None if body is None else body.decode("utf-8", "replace"),
            "body_base64": None if body is None else base64.b64encode(body).decode(),
        }


@dataclass(frozen=True, slots=True)
class DeadLetterEdit:
    """A change of a dead letter's body: fields, or the whole of it."""

    set: dict[str, Any]
    """Values by field; a dotted path leads into objects."""
    unset: tuple[str, ...] = ()
    body: dict[str, Any] | None = None
    """Replaces the whole body."""
    based_on: str | None = None
    """`body_sha256` as it was read: refused if it has another body by now."""


async def details(
    backend: Backend, actor: Actor, request: DeadLetterRequest, *, reveal: bool
) -> DeadLetterHistory:
    """Everything about one dead letter. Who reveals people and content is recorded.

    Raises:
        NotFound: There is none, or it is another tenant's.
    """
    found = await lookup.show(backend, request.prefix, reveal=reveal, tenant=request.tenant)
    about, history = found.dead_letter.notification_id, tuple[Transition, ...]()
    if about is not None:
        story = await backend.ledger.reports.show(about)
        if story is not None and found.dead_letter.tenant in {None, story.notification.tenant}:
            history = story.history if reveal else tuple(map(_discreetly, story.history))
    if reveal:
        await note_reveal(backend, actor, {"dead_letter": str(found.dead_letter.id)})
    return DeadLetterHistory(found, tuple(history))


def _discreetly(transition: Transition) -> Transition:
    return replace(transition, reason=discreet(transition.reason))


async def edit(
    backend: Backend, actor: Actor, request: DeadLetterRequest, change: DeadLetterEdit
) -> DeadLetterView:
    """Put an edited dead letter in the place of one; both are kept.

    Raises:
        NotFound: There is none, or it is another tenant's.
        InvalidRequest: The edited body is no notification.
        Refused: It is no longer open (says who did what with it), has another body by now, or its notification has
            moved on.
    """
    before = await edits.open_dead_letter(backend, request.prefix, request.tenant)
    if change.body is not None:
        after = json.dumps(change.body, ensure_ascii=False).encode()
    else:
        assignments = [f"{name}={json.dumps(value)}" for name, value in change.set.items()]
        after = with_fields(before.body, assignments, change.unset)
    try:
        checked(after)
    except MalformedEdit as malformed:
        raise InvalidRequest(str(malformed), field="set" if change.set else "body") from None
    digest = sha256(before.body).hexdigest()
    if change.based_on not in {None, digest}:
        raise Refused(f"dead letter {before.id} has another body by now: read it again")
    new = await edits.supersede(backend, actor, SupersedeRequest(before.id, after, digest))
    return await _shown(backend, new)


async def discard(
    backend: Backend, actor: Actor, request: DeadLetterRequest, note: str
) -> DeadLetterView:
    """Close a dead letter for good.

    Raises:
        NotFound: There is none, or it is another tenant's.
        InvalidRequest: The note is empty.
        Refused: It is no longer open; says who did what with it.
    """
    found, _ = await lookup.stored(backend, request.prefix, request.tenant)
    done = await discards.discard(backend, actor, DiscardRequest([found.id], stated(note)))
    if not done.closed:
        busy = Refused(f"another process is using dead letter {found.id}: try again")
        raise await why_refused(backend, found.id, busy)
    return await _shown(backend, found.id)


async def replay(
    backend: Backend,
    actor: Actor,
    request: DeadLetterRequest,
    *,
    force: bool,
    starts_in: float = 0.0,
) -> JobView:
    """Start a replay of one dead letter: a job, which a scheduler runs within a second.

    Args:
        backend: The connections.
        actor: Who replays it.
        request: Which one.
        force: Also if it was replayed or sent before.
        starts_in: Seconds in which nothing is done with it, and the job can be cancelled.

    Raises:
        NotFound: There is none, or it is another tenant's.
        Refused: It is no longer open, or another person has just started a replay of it; says who and when.
    """
    found, _ = await lookup.stored(backend, request.prefix, request.tenant)
    again = force and found.state is DeadLetterState.REPLAYED
    if not (again or found.state is DeadLetterState.OPEN):
        raise overtaken(found)
    wanted = DeadLetterFilter(ids=(found.id,), tenant=request.tenant, test=found.test or None)
    plan = Plan(force=force)
    job = await control.look(backend, actor, JobKind.REPLAY, wanted, plan=plan)
    return await control.start_alone(
        backend, actor, job.id, found.id, tenant=request.tenant, starts_in=starts_in
    )


async def _shown(backend: Backend, dead_letter: UUID) -> DeadLetterView:
    found = await backend.ledger.dead_letters.search.get(dead_letter)
    if found is None:
        raise NotFound(f"there is no dead letter {dead_letter}")
    return DeadLetterView.of(found[0], reveal=False)
