"""Accepts one notification."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.delivery.arrival import TimeSource
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.properties import signed
from tidings.ledger.notifications.accepting import Standing, Stored, Submission
from tidings.operations.actor import Actor, app_id_of
from tidings.operations.backend import Backend
from tidings.operations.submissions.errors import IdConflict, IdempotencyKeyReused
from tidings.operations.submissions.ids import id_for
from tidings.operations.submissions.intake import Intake
from tidings.operations.submissions.reading import ReadSubmission, read_submission


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    key: str
    """The API key, without its secret."""
    tenant: str | None
    """The tenant that it may act for; None: all."""
    idempotency_key: str | None = None
    """The request's own, from its header."""
    traceparent: str | None = None
    """W3C Trace Context of the request."""


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

    @property
    def new(self) -> bool:
        """Whether it was accepted now, and not before."""
        return self.standing is Standing.ACCEPTED

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        data = {
            "id": self.id,
            "status": self.standing,
            "links": {"self": f"/v1/notifications/{self.id}"},
        }
        return data if self.duplicate_of is None else {**data, "duplicate_of": self.duplicate_of}


async def submit(backend: Backend, actor: Actor, request: SubmitRequest) -> SubmittedView:
    """Accept one notification: stored, published, or both.

    Raises:
        InvalidNotification: It breaks the contract, or belongs to another tenant; names every problem.
        IdConflict: Its id belongs to other content.
        IdempotencyKeyReused: Its Idempotency-Key came with other content before.
        IdempotencyKeyInUse: The same request is under way.
        LedgerRefused: It has a value that can't be stored.
        LedgerUnavailable: Neither RabbitMQ nor PostgreSQL accepts it now. It may be accepted all the same: its repeat
            needs the same id or Idempotency-Key.
    """
    caller, intake = request.caller, backend.intake
    derived = id_for(caller.key, caller.idempotency_key)
    read = read_submission(request.body, caller.tenant, derived)
    with intake.under_way(caller.key, caller.idempotency_key):
        stored = await intake.accept(submission_of(intake, actor, caller, read))
    id_ = read.notification.id
    if stored.standing is Standing.CONFLICT:
        raise IdempotencyKeyReused() if id_ == derived else IdConflict(id_)
    return view_of(id_, stored, caller)


def submission_of(intake: Intake, actor: Actor, caller: Caller, read: ReadSubmission) -> Submission:
    """What is stored and published of a valid notification."""
    notification, now = read.notification, datetime.now(UTC)
    attempt = Attempt(
        notification=notification,
        body=read.body,
        lane=Lane(notification.channel, notification.priority),
        epoch=0,
        number=1,
        # In milliseconds, as its message states it: a worker reads what the ledger has.
        first_seen=now.replace(microsecond=now.microsecond // 1000 * 1000),
        traceparent=caller.traceparent,
        time_source=TimeSource.PRODUCER,
        producer=signed({"app_id": app_id_of(actor)}),
    )
    expires_at = intake.policy(notification.channel, notification.category).expires_at(attempt)
    scheduled_at = notification.scheduled_at
    due = scheduled_at if scheduled_at is not None and scheduled_at > now else None
    return Submission(attempt, expires_at, due)


def view_of(id: UUID, stored: Stored, caller: Caller) -> SubmittedView:
    """The answer; to a repeated request the first one again."""
    replayed = stored.known and caller.idempotency_key is not None
    standing = stored.standing
    if replayed and stored.duplicate_of is None:
        standing = Standing.ACCEPTED
    return SubmittedView(id, standing, stored.duplicate_of, replayed)
