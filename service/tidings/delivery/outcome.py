"""The outcomes of an attempt and of a claim, as values to match exhaustively."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from tidings.delivery.delay import Delay
from tidings.delivery.provider_attempt import ProviderAttempt
from tidings.delivery.recipients import RecipientResult
from tidings.delivery.states import State
from tidings.delivery.value import value

OUTCOME_UNKNOWN: Final = "outcome_unknown"
"""The kind of a failure after which the notification may have been delivered."""


UNTRIED: Final = "expired"
"""The kind of the failure of an attempt that expired before any provider was called."""


class Reason(StrEnum):
    """Why a notification is a dead letter."""

    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    MALFORMED = "malformed"
    UNROUTABLE = "unroutable"
    DELIVERY_LIMIT = "delivery_limit"
    EXPIRED = "expired"
    OUTCOME_UNKNOWN = "outcome_unknown"
    COPIES_REFUSED = "copies_refused"
    """Its recipient has it, and a copy can't be sent."""

    @property
    def state(self) -> State:
        """The state it leaves the notification in."""
        match self:
            case Reason.EXPIRED:
                return State.EXPIRED
            case Reason.OUTCOME_UNKNOWN:
                return State.UNKNOWN
            case Reason.COPIES_REFUSED:
                return State.SENT
            case _:
                return State.FAILED


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is recorded: no personal data in it."""

    kind: str
    """The error's class, e.g. `rejected` or `unavailable`."""
    message: str
    provider: str = ""
    code: str = ""
    provider_attempts: tuple[ProviderAttempt, ...] = ()
    """One for each provider, if the channel has several."""
    reference: str = ""
    """The provider's own id for the mail, if only copies failed."""
    recipients: tuple[RecipientResult, ...] = ()
    """The result of each recipient, if they differ."""
    suppress: str = field(default="", compare=False)
    """Why nothing more should be sent to the recipient, a `Suppression`; logged, not stored."""


@value(frozen=True, slots=True)
class Sent:
    """The provider accepted it."""

    provider: str
    """The provider, e.g. `smtp:mail.example.com`."""
    reference: str = ""
    """The provider's own id for it, e.g. a Twilio SID or an SMTP queue id."""
    code: str = ""
    """The provider's reply code, e.g. `250`."""
    provider_attempts: tuple[ProviderAttempt, ...] = ()
    """One for each provider, if others were skipped or failed before."""
    recipients: tuple[RecipientResult, ...] = ()
    """The result of each recipient of this attempt; empty if all were accepted in one attempt."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It failed, and is retried after `delay` as attempt `next_attempt`."""

    failure: Failure
    delay: Delay
    next_attempt: int


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """It is not retried: a dead letter."""

    reason: Reason
    failure: Failure

    @property
    def untried(self) -> bool:
        """Whether no provider was called, because it had expired."""
        return self.failure.kind == UNTRIED


@dataclass(frozen=True, slots=True)
class Released:
    """The provider is at fault, not the notification: it is postponed, and spends no attempt."""

    failure: Failure
    delay: Delay | None = None
    """For how long; None: the shortest retry queue."""
    since: datetime | None = None
    """Since when it is postponed repeatedly; None if that doesn't count."""


Outcome: TypeAlias = Sent | RetryLater | Undeliverable
"""The recorded outcome of an attempt."""


# The ledger's replies to a claim.


@value(frozen=True, slots=True)
class Claimed:
    """This worker may send it."""

    possible_duplicate: bool = False
    """It may have been sent already: an earlier worker died, or an earlier reply was lost."""
    accepted_at: datetime | None = field(default=None, compare=False)
    """Since when it waits, according to the ledger; None if it is new there."""
    recipients: tuple[RecipientResult, ...] = ()
    """The results of earlier attempts for each recipient, if they differ."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do: the notification has finished, or another message stands for it."""

    state: State


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker holds it under a live lease."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Unsettled:
    """This attempt was recorded, but its worker may have died before it settled the message."""

    outcome: RetryLater | Undeliverable


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Stored until it is due; the scheduler publishes it then."""

    due: datetime


@dataclass(frozen=True, slots=True)
class DuplicateOf:
    """Its idempotency key was used within the window: recorded, and not sent."""

    first: UUID


@dataclass(frozen=True, slots=True)
class NeverIssued:
    """It claims an epoch that no replay ever began."""

    epoch: int


Claim: TypeAlias = Claimed | Finished | Held | Unsettled | Scheduled | DuplicateOf | NeverIssued
"""The ledger's reply to a claim."""
