"""Decides what a dead letter means for its notification. Pure.

Most notifications have ended by the time their letter arrives: the worker recorded it first. The rest
were given up by RabbitMQ, and what the ledger knows of them says how far they had come.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tidings.delivery.letter import Letter, LetterState, Origin
from tidings.delivery.outcome import Failure, Reason
from tidings.delivery.retry_policy import Guarantee
from tidings.delivery.states import FINISHED, State, may_become

REPLAYABLE: Final = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN})
"""Ends that a replay begins anew without being forced."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a notification stands in the ledger."""

    state: State
    epoch: int
    attempt: int
    """The attempt last claimed in this epoch."""
    lease_until: datetime | None = None
    reason: Reason | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """Keep the letter."""

    letter: Letter
    """With what the ledger knows better."""
    state: LetterState = LetterState.BURIED
    note: str | None = None
    """Why it is closed from the start."""
    becomes: State | None = None
    """The state that its notification has to take; None where that is settled."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody may be sending it at this moment: look again then."""

    until: datetime


def decide(
    letter: Letter, standing: Standing | None, guarantee: Guarantee, now: datetime
) -> Bury | Wait:
    """What to do with a letter.

    Args:
        letter: As it arrived.
        standing: Its notification in the ledger; None where it has none.
        guarantee: What its channel does where nobody can know whether it was sent.
    """
    if standing is None:
        # A stray stays a letter alone: the good copy may be in its lane, or published yet.
        tracked = letter.tracked and letter.notification is not None
        return Bury(letter, becomes=letter.reason.state if tracked else None)
    if not letter.tracked or letter.epoch > standing.epoch:
        return Bury(letter)
    if letter.epoch < standing.epoch:
        return _closed(
            letter, f"was replayed since, and is {standing.state} in epoch {standing.epoch}"
        )
    if standing.state in REPLAYABLE:
        return Bury(_as_recorded(letter, standing))
    if standing.state in FINISHED or standing.state is State.SCHEDULED:
        return _closed(letter, f"is {standing.state}")
    return _unfinished(letter, standing, guarantee, now)


def _unfinished(
    letter: Letter, standing: Standing, guarantee: Guarantee, now: datetime
) -> Bury | Wait:
    """Its notification is queued, retrying or being sent in the letter's own epoch."""
    if standing.attempt > letter.attempt:
        return _closed(letter, f"went on to attempt {standing.attempt}")
    if standing.state is State.SENDING:
        if standing.lease_until is not None and standing.lease_until > now:
            return Wait(standing.lease_until)
        return _interrupted(letter, standing, guarantee)
    if standing.attempt == letter.attempt and letter.origin is Origin.WORKER:
        # Its lease had run out: whoever took over recorded this attempt and holds a copy.
        return _closed(letter, f"is {standing.state}: another worker made attempt {letter.attempt}")
    # A copy that still waits in a tier finds its notification ended and adds nothing.
    return _ended(letter, standing)


def _interrupted(letter: Letter, standing: Standing, guarantee: Guarantee) -> Bury:
    """Its last worker is gone, and may have sent it."""
    if guarantee is Guarantee.AT_LEAST_ONCE:
        return _ended(letter, standing)
    said = f"its worker is gone and may have sent it, and this channel sends at most once; {letter.failure.message}"
    failure = replace(letter.failure, kind="outcome_unknown", message=said)
    return _ended(replace(letter, reason=Reason.OUTCOME_UNKNOWN, failure=failure), standing)


def _ended(letter: Letter, standing: Standing) -> Bury:
    wanted = letter.reason.state
    allowed = may_become(standing.state, wanted)
    return Bury(letter, becomes=wanted if allowed else State.FAILED)


def _as_recorded(letter: Letter, standing: Standing) -> Letter:
    """RabbitMQ only knows that it gave a message up; the attempt that failed knows why."""
    if letter.origin is Origin.WORKER or standing.reason is None or standing.failure is None:
        return letter
    return replace(letter, reason=standing.reason, failure=standing.failure)


def _closed(letter: Letter, what: str) -> Bury:
    return Bury(letter, LetterState.DISCARDED, f"nothing to replay: the notification {what}")


def refusal(standing: Standing, letter_epoch: int, *, force: bool) -> str | None:
    """Why a letter's notification can't be replayed; None where it can.

    Args:
        force: Whether the letter may have been replayed before, and the notification sent.
    """
    if standing.state not in FINISHED:
        return f"its notification is {standing.state}: wait until it has ended"
    if not may_become(standing.state, State.QUEUED):
        return f"its notification is {standing.state}: publish a new one instead"
    if force:
        return None
    if standing.state not in REPLAYABLE:
        return f"its notification is {standing.state}: --force sends it again"
    if standing.epoch > letter_epoch:
        return f"its notification was replayed since and is {standing.state}: replay its later letter, or --force this one"
    return None
