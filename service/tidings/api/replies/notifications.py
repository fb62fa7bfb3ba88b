"""The JSON of a notification."""

from typing import Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class ReplyModel(BaseModel):
    """A documented reply: it has these fields and no others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class TransitionReply(ReplyModel):
    """A change of state."""

    epoch: int
    at: AwareDatetime
    before: str | None
    after: str
    actor: str
    reason: str
    step: int
    """Orders changes of the same time."""


class AttemptReply(ReplyModel):
    """One attempt to deliver it."""

    epoch: int
    attempt: int
    started_at: AwareDatetime
    duration_ms: float
    state: str
    """The state it led to."""
    provider: str | None
    reference: str | None
    """The provider's own id."""
    error_class: str | None
    """Null if it was sent."""
    code: str | None
    """Of the provider's answer."""
    message: str | None
    retry_delay_seconds: int | None
    """Until the next attempt."""
    possible_duplicate: bool
    worker: str


class ProviderAttemptReply(ReplyModel):
    """One provider's part in an attempt that had several."""

    epoch: int
    attempt: int
    provider: str
    outcome: str
    """`sent`, `not_asked`, or the error's class."""
    code: str
    duration_ms: float


class RecipientReply(ReplyModel):
    """The result for one address of a mail whose addresses fared differently."""

    epoch: int
    attempt: int
    address: str
    role: str
    state: str
    error_class: str
    code: str
    message: str
    at: AwareDatetime


class DeadLetterSummaryReply(ReplyModel):
    """A dead letter of it."""

    id: UUID
    notification_id: UUID | None
    epoch: int
    state: str
    reason: str
    error_class: str
    error_code: str
    error_message: str
    dead_lettered_at: AwareDatetime
    note: str | None


class SummaryReply(ReplyModel):
    """A notification in short."""

    id: UUID
    channel: str
    priority: str
    tenant: str
    test: bool
    """Whether it is delivered to the sink only."""
    category: str
    recipient: str
    """Masked, unless it is to be revealed."""
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    state: str
    epoch: int
    """0 at first, one more with each replay."""
    attempt_count: int
    """Attempts made in this epoch."""
    accepted_at: AwareDatetime | None
    """Null if only the time of its first read is known."""
    first_read_at: AwareDatetime | None
    updated_at: AwareDatetime
    finished_at: AwareDatetime | None
    scheduled_at: AwareDatetime | None
    expires_at: AwareDatetime | None
    dispatch_at: AwareDatetime | None
    """When a scheduler publishes it."""
    provider: str | None
    reference: str | None
    """The provider's own id."""
    reason: str | None
    error_class: str | None
    """Of the last attempt, if it failed: `unavailable`, `rejected` …"""
    error_code: str | None
    """The provider's own."""
    error_message: str | None
    idempotency_key: str | None
    duplicate_of: UUID | None
    traceparent: str | None
    lease_holder: str | None
    lease_until: AwareDatetime | None
    time_source: str | None
    """The source of `accepted_at`: `producer`, `id` or `read`."""
    producer: str | None
    waiting_reason: str | None
    """Why it waits; null if it doesn't."""


class MessageStateReply(ReplyModel):
    """What became of a message in its user's inbox."""

    state: str
    """The last that is known: `unseen`, `seen`, `read`, `acted`, `snoozed`, `archived`, `expired`, `deleted`, or `removed` if
    it was deleted too long ago."""
    delivered_at: AwareDatetime | None
    """Null if it is removed."""
    seen_at: AwareDatetime | None
    read_at: AwareDatetime | None
    acted_at: AwareDatetime | None
    action: str | None
    """The id of the action that the user took."""
    archived_at: AwareDatetime | None
    snoozed_until: AwareDatetime | None
    deleted_at: AwareDatetime | None


class NotificationReply(SummaryReply):
    """A notification with its history."""

    history: list[TransitionReply]
    attempts: list[AttemptReply]
    dead_letters: list[DeadLetterSummaryReply]
    provider_attempts: list[ProviderAttemptReply]
    recipient_results: list[RecipientReply]
    inbox: MessageStateReply | None
    """Of one that was delivered by the channel `in_app`."""
    body: dict[str, Any] | None = None
    """As its producer wrote it; only if it is to be revealed."""


class UnclaimedReply(ReplyModel):
    """A message that never became a notification."""

    id: UUID | None
    state: Literal[None]
    dead_letters: list[dict[str, Any]]


EXAMPLE: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "channel": "email",
    "priority": "high",
    "tenant": "default",
    "test": False,
    "category": "transactional",
    "recipient": "j…@example.com",
    "user_id": None,
    "entity_type": "order",
    "entity_id": "10042",
    "state": "sent",
    "epoch": 0,
    "attempt_count": 1,
    "accepted_at": "2026-03-02T09:30:00.120000+00:00",
    "first_read_at": None,
    "updated_at": "2026-03-02T09:30:00.310000+00:00",
    "finished_at": "2026-03-02T09:30:00.310000+00:00",
    "scheduled_at": None,
    "expires_at": None,
    "dispatch_at": None,
    "provider": "smtp:relay.example.com",
    "reference": "<0198c2f4@example.com>",
    "reason": None,
    "error_class": None,
    "error_code": None,
    "error_message": None,
    "idempotency_key": None,
    "duplicate_of": None,
    "traceparent": None,
    "lease_holder": None,
    "lease_until": None,
    "time_source": "producer",
    "producer": None,
    "waiting_reason": None,
    "history": [
        {
            "epoch": 0,
            "at": "2026-03-02T09:30:00.180000+00:00",
            "before": None,
            "after": "queued",
            "actor": "worker web-1:4242:7f3a91",
            "reason": "published",
            "step": 0,
        }
    ],
    "attempts": [
        {
            "epoch": 0,
            "attempt": 1,
            "started_at": "2026-03-02T09:30:00.180000+00:00",
            "duration_ms": 130.0,
            "state": "sent",
            "provider": "smtp:relay.example.com",
            "reference": "<0198c2f4@example.com>",
            "error_class": None,
            "code": "250",
            "message": None,
            "retry_delay_seconds": None,
            "possible_duplicate": False,
            "worker": "worker web-1:4242:7f3a91",
        }
    ],
    "dead_letters": [],
    "provider_attempts": [],
    "recipient_results": [],
    "inbox": None,
}
