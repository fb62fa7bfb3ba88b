"""Everything about one notification, as values without SQL."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from tidings.delivery.arrival import TimeSource
from tidings.delivery.outcome import UNTRIED
from tidings.delivery.states import State


@dataclass(frozen=True, slots=True)
class NotificationSummary:
    """A notification in one line."""

    id: UUID
    channel: str
    priority: str
    tenant: str
    category: str
    recipient: str
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    state: State
    epoch: int
    attempt: int
    """The number of the last one in this epoch; 0 before the first."""
    accepted_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    scheduled_at: datetime | None
    expires_at: datetime | None
    dispatch_at: datetime | None
    """When the scheduler publishes it."""
    provider: str | None
    reference: str | None
    """The provider's own id."""
    reason: str | None
    failure_kind: str | None
    failure_code: str | None
    failure_message: str | None
    idempotency_key: str | None
    duplicate_of: UUID | None
    traceparent: str | None
    lease_holder: str | None
    lease_until: datetime | None
    time_source: str | None = None
    """The source of `accepted_at`: `producer`, `id`, or `read` (the time of its first read)."""
    producer: str | None = None
    """Who published it, by its AMQP `app_id` and `user_id`; None where neither says so."""
    test: bool = False
    """Whether it is delivered to the sink only."""

    @property
    def only_read(self) -> bool:
        """Whether only the time it was first read is known, not when it was accepted."""
        return self.time_source == TimeSource.READ

    @property
    def untried(self) -> bool:
        """Whether its last attempt called no provider because it had expired."""
        return self.finished_at is not None and self.failure_kind == UNTRIED

    @property
    def attempts_made(self) -> int:
        """Attempts in which a provider was called, in this epoch."""
        return self.attempt - 1 if self.untried and self.attempt else self.attempt


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state."""

    epoch: int
    at: datetime
    before: str | None
    after: str
    actor: str
    reason: str
    step: int
    """Orders what has the same time; even from 2 where an attempt began, odd from 3 where it ended."""

    @property
    def of_an_attempt(self) -> bool:
        """Whether `NotificationDetails.attempts` tells it too, and more of it."""
        return self.step >= 2


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A recorded attempt."""

    epoch: int
    attempt: int
    started_at: datetime
    duration_ms: float
    state: State
    """What it led to."""
    provider: str | None
    reference: str | None
    code: str | None
    kind: str | None
    message: str | None
    retry_delay: int | None
    """Seconds until the next one."""
    possible_duplicate: bool
    worker: str

    @property
    def untried(self) -> bool:
        """Whether no provider was called because it had expired."""
        return self.kind == UNTRIED


@dataclass(frozen=True, slots=True)
class ProviderAttemptRow:
    """One provider's part in an attempt, where it was not simply sent by the preferred one."""

    epoch: int
    attempt: int
    provider: str
    kind: str
    """`sent`, `not_asked`, or the error's class."""
    code: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Recipient:
    """What became of one recipient of a mail that was not taken alike for all."""

    epoch: int
    attempt: int
    """The last that said so; 0: an earlier epoch did."""
    address: str
    role: str
    """`to`, `cc` or `bcc`."""
    state: str
    """`sent`, `deferred`, `refused`, `given_up` or `unknown`."""
    kind: str
    code: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """A dead letter of a notification, or one that never became a notification."""

    id: UUID
    notification_id: UUID | None
    epoch: int
    state: str
    reason: str
    kind: str
    code: str
    message: str
    dead_lettered_at: datetime
    note: str | None


@dataclass(frozen=True, slots=True)
class NotificationDetails:
    """Everything about one notification, each part oldest first."""

    notification: NotificationSummary
    body: bytes
    """As the producer wrote it."""
    history: tuple[Transition, ...]
    attempts: tuple[AttemptRow, ...]
    dead_letters: tuple[DeadLetterSummary, ...]
    provider_attempts: tuple[ProviderAttemptRow, ...] = ()
    recipients: tuple[Recipient, ...] = ()

    @property
    def timeline(self) -> Iterator[Transition | AttemptRow]:
        """Every change and every attempt once, in order."""
        attempts = {(attempt.epoch, 2 * attempt.attempt): attempt for attempt in self.attempts}
        for change in self.history:
            if not change.of_an_attempt:
                yield change
            elif (attempt := attempts.pop((change.epoch, change.step), None)) is not None:
                yield attempt

    @property
    def clocks_disagree(self) -> bool:
        """Whether one attempt seems to begin before the last one ended: workers' clocks differ."""
        times = [(attempt.epoch, attempt.attempt, attempt.started_at) for attempt in self.attempts]
        return any(later[2] < earlier[2] for earlier, later in pairwise(times))
