"""Decides what a failure means: another try and when, or the dead letters."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.errors import (
    DeliveryError,
    MalformedNotification,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Rejected,
    Throttled,
)
from tidings.delivery.outcome import Failure, Paused, Reason, RetryLater, Undeliverable


class Guarantee(StrEnum):
    """What a channel does where nobody can know whether it was sent."""

    AT_LEAST_ONCE = "at_least_once"
    """Send again, and mark the attempt as a possible duplicate."""
    AT_MOST_ONCE = "at_most_once"
    """Never send again unasked: the notification becomes `unknown`."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits between attempts, in order: one retry for each, unless the notification says otherwise."""

    delays: tuple[Delay, ...]

    @classmethod
    def exponential(cls, initial: int, multiplier: float, maximum: int, count: int) -> Self:
        """`count` delays in seconds, from `initial`, each `multiplier` times the last, up to `maximum`."""
        return cls(
            tuple(Delay(min(maximum, round(initial * multiplier**step))) for step in range(count))
        )

    def delay(self, number: int) -> Delay:
        """The wait after attempt `number`; past the end of the list, the last one again."""
        return self.delays[min(number, len(self.delays)) - 1]

    def at_least(self, wait: float) -> Delay:
        """The shortest delay that is no shorter than `wait` seconds; the longest if none is."""
        ordered = sorted(self.delays)
        return next((delay for delay in ordered if delay.seconds >= wait), ordered[-1])


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How one channel treats one category of notification."""

    retry: RetryPolicy
    guarantee: Guarantee
    send_timeout: float
    """Seconds a send may take."""
    expires_after: float | None = None
    """Seconds after which a notification without `expires_at` is not worth delivering."""
    tiers: tuple[Delay, ...] = ()
    """Every delay there is a queue for on this channel: what `Retry-After` may choose from."""

    def expires_at(self, attempt: Attempt) -> datetime | None:
        """When this notification stops being worth delivering, if ever."""
        notification = attempt.notification
        if notification.expires_at is not None or self.expires_after is None:
            return notification.expires_at
        wanted = notification.scheduled_at or attempt.first_seen
        return wanted + timedelta(seconds=self.expires_after)

    def expired(self, attempt: Attempt, now: datetime) -> Undeliverable | None:
        """The outcome of an attempt that comes too late; None while it is in time."""
        expires_at = self.expires_at(attempt)
        if expires_at is None or now < expires_at:
            return None
        return _expired(
            Failure("expired", f"not delivered before {expires_at:%Y-%m-%d %H:%M:%S%z}")
        )

    def decide(
        self, error: Exception, attempt: Attempt, now: datetime
    ) -> RetryLater | Undeliverable | Paused:
        """What this error means for this attempt. Pure; an exception nobody expected is tried again."""
        failure = describe(error)
        match error:
            case MalformedNotification():
                return Undeliverable(Reason.MALFORMED, failure)
            case Rejected():
                return Undeliverable(Reason.REJECTED, failure)
            case Misconfigured() | OutOfService():
                return Paused(failure)
            case OutcomeUnknown() if self.guarantee is Guarantee.AT_MOST_ONCE:
                return Undeliverable(Reason.OUTCOME_UNKNOWN, failure)
            case Throttled(retry_after=float() | int() as wait):
                return self._again(attempt, failure, self._no_sooner_than(wait), now)
            case _:
                return self._again(attempt, failure, None, now)

    def _no_sooner_than(self, wait: float) -> Delay | None:
        """The first tier that is long enough; the longest where none is."""
        choice = RetryPolicy(self.tiers or self.retry.delays)
        return choice.at_least(wait) if choice.delays else None

    def _again(
        self, attempt: Attempt, failure: Failure, wait: Delay | None, now: datetime
    ) -> RetryLater | Undeliverable:
        retries = attempt.notification.max_retries
        if not self.retry.delays or attempt.number > (
            len(self.retry.delays) if retries is None else retries
        ):
            return Undeliverable(Reason.EXHAUSTED, failure)
        delay = wait or self.retry.delay(attempt.number)
        expires_at = self.expires_at(attempt)
        if expires_at is not None and now + timedelta(seconds=delay.seconds) >= expires_at:
            return _expired(failure)
        return RetryLater(failure, delay, attempt.number + 1)


def describe(error: Exception) -> Failure:
    """An exception as it is recorded."""
    match error:
        case DeliveryError():
            return Failure(error.kind, error.message, error.provider, error.code, error.tries)
        case MalformedNotification():
            return Failure("malformed", str(error))
        case _:
            return Failure(
                "unexpected", f"{type(error).__name__} in our own code; the log has its traceback"
            )


def _expired(failure: Failure) -> Undeliverable:
    return Undeliverable(Reason.EXPIRED, failure)
