"""Decides what a dead letter means for its notification. Pure.

Most notifications have ended by the time their dead letter arrives: the worker recorded it first. The rest
were given up by RabbitMQ, and the ledger says how far they had come.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from tidings.delivery.dead_letter import DeadLetter, DeadLetterState, Origin
from tidings.delivery.outcome import OUTCOME_UNKNOWN, Failure, Reason
from tidings.delivery.states import FINISHED, State, may_become
from tidings.delivery.unknown_outcome import final_reason

REPLAYABLE: Final = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN})
"""Final states that a replay may send again without `--force`."""


@dataclass(frozen=True, slots=True)
class NotificationStatus:
    """The state of a notification in the ledger."""

    state: State
    epoch: int
    attempt: int
    """The last attempt claimed in this epoch."""
    lease_until: datetime | None = None
    reason: Reason | None = None
    failure: Failure | None = None
    perhaps_sent: bool = False
    """Whether an attempt of this epoch may have been delivered."""
    reached: bool = False
    """Whether its recipient has it, and only copies are left to send."""
    content: bytes | None = None
    """The SHA-256 of its body; None if not known."""
    tenant: str | None = None
    """None if not known."""
    test: bool = False

    @property
    def replayable(self) -> bool:
        """Whether a replay may send it again without `--force`."""
        lacks_copies = self.state is State.SENT and self.reason is Reason.COPIES_REFUSED
        return self.state in REPLAYABLE or lacks_copies


@dataclass(frozen=True, slots=True)
class Store:
    """Store the dead letter."""

    dead_letter: DeadLetter
    """Completed from the ledger."""
    state: DeadLetterState = DeadLetterState.OPEN
    note: str | None = None
    """Why it is closed from the start."""
    becomes: State | None = None
    """The new state of its notification; None if that is final already."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A worker may be sending it now: decide again at `until`."""

    until: datetime


def decide(
    dead_letter: DeadLetter, status: NotificationStatus | None, now: datetime
) -> Store | Wait:
    """Decide what to do with a dead letter.

    Args:
        dead_letter: As it arrived.
        status: Its notification in the ledger; None if there is none.
    """
    if status is None:
        # An untracked message stays a dead letter alone: a good copy may be in its lane, or come later.
        tracked = dead_letter.tracked and dead_letter.notification is not None
        return Store(dead_letter, becomes=dead_letter.reason.state if tracked else None)
    if not dead_letter.tracked or dead_letter.epoch > status.epoch:
        return Store(dead_letter)
    if dead_letter.epoch < status.epoch:
        return _closed(
            dead_letter, f"was replayed since, and is {status.state} in epoch {status.epoch}"
        )
    if status.replayable:
        return Store(_as_recorded(dead_letter, status))
    if status.state in FINISHED or status.state is State.SCHEDULED:
        return _closed(dead_letter, f"is {status.state}")
    return _unfinished(dead_letter, status, now)


def _unfinished(dead_letter: DeadLetter, status: NotificationStatus, now: datetime) -> Store | Wait:
    """Its notification is queued, retrying or being sent in the dead letter's own epoch."""
    if status.content not in {None, sha256(dead_letter.body).digest()}:
        return _closed(
            dead_letter, f"is {status.state} with other content, which has a message of its own"
        )
    if status.attempt > dead_letter.attempt:
        return _closed(dead_letter, f"went on to attempt {status.attempt}")
    doubt = "an earlier attempt may have been delivered" if status.perhaps_sent else ""
    if status.state is State.SENDING:
        if status.lease_until is not None and status.lease_until > now:
            return Wait(status.lease_until)
        doubt = "its worker stopped and may have sent it"
    elif status.attempt == dead_letter.attempt and dead_letter.origin is Origin.WORKER:
        # Its lease had expired: the worker that took over recorded this attempt and has a copy.
        return _closed(
            dead_letter, f"is {status.state}: another worker made attempt {dead_letter.attempt}"
        )
    # A copy that still waits in a retry queue finds its notification ended and adds nothing.
    return _ended(
        _of_copies(dead_letter) if status.reached else _with_doubt(dead_letter, doubt), status
    )


def _of_copies(dead_letter: DeadLetter) -> DeadLetter:
    """Only copies were left to send: its recipient has the mail."""
    failure = replace(
        dead_letter.failure, message=f"sent; copies given up: {dead_letter.failure.message}"
    )
    return replace(dead_letter, reason=Reason.COPIES_REFUSED, failure=failure)


def _with_doubt(dead_letter: DeadLetter, doubt: str) -> DeadLetter:
    """A notification that may have been sent never ends as if it had not, whatever the channel's guarantee.

    Args:
        doubt: Why it may have been sent; empty if it was not.
    """
    reason = final_reason(dead_letter.reason, perhaps_sent=bool(doubt))
    if not doubt or reason is Reason.COPIES_REFUSED:
        return dead_letter
    message = f"{doubt}; {dead_letter.failure.message}"
    return replace(
        dead_letter,
        reason=reason,
        failure=replace(dead_letter.failure, kind=OUTCOME_UNKNOWN, message=message),
    )


def _ended(dead_letter: DeadLetter, status: NotificationStatus) -> Store:
    wanted = dead_letter.reason.state
    allowed = may_become(status.state, wanted)
    return Store(dead_letter, becomes=wanted if allowed else State.FAILED)


def _as_recorded(dead_letter: DeadLetter, status: NotificationStatus) -> DeadLetter:
    """RabbitMQ only says that it dead-lettered a message; the failed attempt says why.

    Of a message with other content, which another producer or tenant may have given the same id, it says nothing.
    """
    if dead_letter.origin is Origin.WORKER or status.reason is None or status.failure is None:
        return dead_letter
    if status.content not in {None, sha256(dead_letter.body).digest()}:
        return dead_letter
    return replace(dead_letter, reason=status.reason, failure=status.failure)


def _closed(dead_letter: DeadLetter, what: str) -> Store:
    return Store(
        dead_letter, DeadLetterState.DISCARDED, f"nothing to replay: the notification {what}"
    )


class ReplayRefusal(StrEnum):
    """Why a dead letter is not replayed."""

    ALREADY_REPLAYED = "already_replayed"
    BEING_REPLAYED = "being_replayed"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"
    MALFORMED = "malformed"
    UNDER_WAY = "under_way"
    """Its notification has not ended."""
    EXPIRED = "expired"
    """It would expire again at once."""
    TEMPLATE_GONE = "template_gone"
    """The workers have no such template, or not in its locale."""
    ENDED = "ended"
    """Its notification is in a state from which it can't be sent again, e.g. cancelled."""
    SENT = "sent"
    NEWER_EPOCH = "newer_epoch"
    """Its notification was replayed since."""
    SAME_NOTIFICATION = "same_notification"
    """Another dead letter of it is replayed instead."""
    OTHER_CONTENT = "other_content"
    """Its notification is stored with other content: two notifications have the same id."""
    OTHER_TENANT = "other_tenant"
    """Its notification is another tenant's."""
    SAME_KEY = "same_key"
    """Another notification has its idempotency key."""
    NO_SUCH_DEAD_LETTER = "no_such_dead_letter"


@dataclass(frozen=True, slots=True)
class RefusedReplay:
    """Why one dead letter is not replayed, as a code and as text."""

    refusal: ReplayRefusal
    why: str


def refusal(
    status: NotificationStatus, dead_letter_epoch: int, *, force: bool
) -> RefusedReplay | None:
    """Why a dead letter's notification can't be replayed; None if it can.

    Args:
        force: Whether the dead letter may have been replayed before, and the notification sent.
    """
    if status.state not in FINISHED:
        return RefusedReplay(ReplayRefusal.UNDER_WAY, _its(status))
    if not may_become(status.state, State.QUEUED):
        return RefusedReplay(ReplayRefusal.ENDED, _its(status))
    if force:
        return None
    if not status.replayable:
        return RefusedReplay(ReplayRefusal.SENT, _its(status))
    if status.epoch > dead_letter_epoch:
        return RefusedReplay(
            ReplayRefusal.NEWER_EPOCH,
            f"its notification was replayed since and is {status.state}",
        )
    return None


def _its(status: NotificationStatus) -> str:
    return f"its notification is {status.state}"
