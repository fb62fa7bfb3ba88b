"""Accepts one notification."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from tidings.delivery.local_time import LocalTime
from tidings.ledger.notifications.accepting import (
    Answered,
    RequestedBefore,
    Standing,
    Stored,
    Submission,
)
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller, submission_of
from tidings.operations.submissions.errors import IdConflict, IdempotencyKeyReused
from tidings.operations.submissions.intake import Intake, surely
from tidings.operations.submissions.reading import UntimelyNotification, read_submission


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One notification to accept."""

    caller: Caller
    body: bytes
    """Its JSON, as it was sent."""


@dataclass(frozen=True, slots=True)
class SubmittedView:
    """A notification that is accepted: it will not be lost."""

    id: UUID
    standing: Standing
    duplicate_of: UUID | None = None
    replayed: bool = False
    """Whether this repeats the answer to an earlier request with the same Idempotency-Key."""
    chosen: LocalTime | None = None
    """The instant of a due time that was given as a local time."""

    @property
    def new(self) -> bool:
        """Whether it was accepted now, and not before."""
        return self.standing is Standing.ACCEPTED

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        data = {
            "id": str(self.id),
            "status": self.standing.value,
            "links": {"self": f"/v1/notifications/{self.id}"},
        }
        if self.duplicate_of is not None:
            data["duplicate_of"] = str(self.duplicate_of)
        return data if self.chosen is None else {**data, **self.chosen.as_data()}


async def submit(backend: Backend, actor: Actor, request: SubmitRequest) -> SubmittedView:
    """Accept one notification: stored, published, or both.

    Raises:
        InvalidNotification: It breaks the contract, belongs to another tenant, or a time in it has passed and it was
            not accepted before; names every problem.
        IdConflict: Its id belongs to other content.
        IdempotencyKeyReused: Its Idempotency-Key came with other content before.
        IdempotencyKeyInUse: The same request is under way.
        LedgerRefused: It has a value that can't be stored.
        LedgerUnavailable: Neither RabbitMQ nor PostgreSQL accepts it now. It may be accepted all the same: its repeat
            needs the same id or Idempotency-Key.
    """
    caller, intake = request.caller, backend.intake
    derived = caller.id_for()
    try:
        read = read_submission(request.body, caller.tenant, derived, test=caller.test)
    except UntimelyNotification as untimely:
        read = untimely.read
        new = caller.idempotency_key is None and read.notification.id == derived
        if new or not await intake.accepted_before([read.notification.id]):
            raise
    id_ = read.notification.id
    submission = submission_of(intake, actor, caller, read)
    with intake.under_way(caller.key, caller.idempotency_key):
        if id_ == derived or caller.idempotency_key is None:
            if caller.idempotency_key is not None:
                submission = replace(submission, request=(caller.key, caller.idempotency_key))
            stored = await intake.accept(submission)
        else:
            stored = await _with_its_own_id(intake, caller, request.body, submission)
    if stored.standing is Standing.CONFLICT:
        raise IdempotencyKeyReused() if id_ == derived else IdConflict(id_)
    return replace(_view_of(id_, stored, caller), chosen=read.chosen)


async def _with_its_own_id(
    intake: Intake, caller: Caller, body: bytes, submission: Submission
) -> Stored:
    """By its id alone nobody would notice that its Idempotency-Key came with another one before."""
    identity = caller.identity("one", body)
    assert identity is not None  # noqa: S101  # it has a key
    request = Answered(identity, lambda _: b"", caller.id_for())
    try:
        [stored] = await intake.accept_several([submission], request=request)
    except RequestedBefore as before:
        if not before.earlier.same:
            raise IdempotencyKeyReused from None
        [stored] = await intake.accept_several([submission])
    return surely(stored)


def _view_of(id: UUID, stored: Stored, caller: Caller) -> SubmittedView:
    """The answer; to a repeated request the first one again."""
    replayed = stored.known and caller.idempotency_key is not None
    standing = stored.standing
    if replayed and stored.duplicate_of is None:
        standing = Standing.ACCEPTED
    return SubmittedView(id, standing, stored.duplicate_of, replayed)
