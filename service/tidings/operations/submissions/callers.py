"""Whose request it is, and what is stored and published for it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from tidings.delivery.arrival import TimeSource
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.properties import signed
from tidings.ledger.notifications.accepting import Submission
from tidings.ledger.notifications.requests import RequestIdentity
from tidings.operations.actor import Actor, app_id_of
from tidings.operations.submissions.ids import id_for
from tidings.operations.submissions.intake import Intake
from tidings.operations.submissions.reading import ReadSubmission


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is."""

    key: str
    """The API key, without its secret."""
    key_hash: bytes = field(repr=False)
    """The whole key's, as it is stored."""
    tenant: str | None
    """The tenant that it may act for; None: all."""
    idempotency_key: str | None = None
    """The request's own, from its header."""
    traceparent: str | None = None
    """W3C Trace Context of the request."""
    test: bool = False
    """Whether it may send tests only."""

    def id_for(self, index: int = 0) -> UUID:
        """The id of its notification without one, at this place in its request."""
        return id_for(self.key_hash, self.idempotency_key, index)

    def identity(self, form: str, body: bytes) -> RequestIdentity | None:
        """Its request, if it has an Idempotency-Key.

        Args:
            form: What the body is.
        """
        if self.idempotency_key is None:
            return None
        digest = sha256(form.encode() + b"\n" + body).digest()
        return RequestIdentity(self.key, self.idempotency_key, digest)


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
