"""What became of an attempt: values, matched exhaustively by those who act on them."""

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
"""The kind of a failure that may have been a delivery."""


UNTRIED: Final = "expired"
"""The kind of the failure of an attempt that came too late to ask anybody."""


class Reason(StrEnum):
    """Why a notification is among the dead letters."""

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
    """Every provider's part in it, where there are several."""
    reference: str = ""
    """The provider's own id for what it took all the same, where only copies failed."""
    recipients: tuple[RecipientResult, ...] = ()
    """What this attempt settled of each recipient, where they did not all fare alike."""
    suppress: str = field(default="", compare=False)
    """Why the recipient should not be written to again, a `Suppression`; logged, and not stored."""


@value(frozen=True, slots=True)
class Sent:
    """The provider took it."""

    provider: str
    """Who took it, e.g. `smtp:mail.example.com`."""
    reference: str = ""
    """The provider's own id for it, e.g. a Twilio SID or an SMTP queue id."""
    code: str = ""
    """The provider's reply code, e.g. `250`."""
    provider_attempts: tuple[ProviderAttempt, ...] = ()
    """Every provider's part in it, where others were passed over or failed before."""
    recipients: tuple[RecipientResult, ...] = ()
    """What became of each who was asked; empty where all are taken, and were asked at once."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It failed and has another try coming, after `delay`, as attempt `next_attempt`."""

    failure: Failure
    delay: Delay
    next_attempt: int


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """No use trying again: to the dead letters."""

    reason: Reason
    failure: Failure

    @property
    def untried(self) -> bool:
        """Whether nobody was asked, for it had expired."""
        return self.failure.kind == UNTRIED


@dataclass(frozen=True, slots=True)
class Paused:
    """The provider is at fault, not the notification: hold it, spend no attempt."""

    failure: Failure
    delay: Delay | None = None
    """For how long; until it is its turn again where None."""
    since: datetime | None = None
    """Since when it is put off, time and again, where that counts."""


Outcome: TypeAlias = Sent | RetryLater | Undeliverable
"""What is recorded of an attempt."""


# What the ledger answers to a claim.


@value(frozen=True, slots=True)
class Claimed:
    """It is this worker's to send."""

    possible_duplicate: bool = False
    """It may have been sent already: an earlier holder vanished, or an earlier reply was lost."""
    accepted_at: datetime | None = field(default=None, compare=False)
    """Since when it waits, as the ledger has known it before; None where it is new."""
    recipients: tuple[RecipientResult, ...] = ()
    """What earlier attempts settled of each recipient, where they did not all fare alike."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do for this message: the notification has moved on without it."""

    state: State


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker holds it under a live lease."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Unsettled:
    """This very attempt was recorded, but its worker may have died before passing it on."""

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
"""What the ledger answers to a claim."""
