"""Decides what a failure means: another try and when, or the dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.errors import (
    DeliveryError,
    MalformedNotification,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Postponed,
    Rejected,
    Throttled,
)
from tidings.delivery.outcome import (
    OUTCOME_UNKNOWN,
    UNTRIED,
    Failure,
    Outcome,
    Paused,
    Reason,
    RetryLater,
    Sent,
    Undeliverable,
)
from tidings.delivery.recipients import (
    MISSED,
    RecipientResult,
    RecipientState,
    has_it,
    merged,
    told,
)

LONGEST_POSTPONEMENT: Final = 300
"""Seconds: long before what waits without an attempt may be taken for gone (`TIDINGS_REQUEUE_AFTER`)."""


def postponements(delays: Iterable[Delay]) -> tuple[float, ...]:
    """Seconds for which one may be put off that waits without an attempt, the shortest first."""
    short = sorted({each.seconds for each in delays})
    return tuple(each for each in short if each <= LONGEST_POSTPONEMENT) or (short[0],)


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
    queue_delays: tuple[Delay, ...] = ()
    """Every delay there is a queue for on this channel: what `Retry-After` may choose from."""

    def expires_at(self, attempt: Attempt) -> datetime | None:
        """When this notification stops being worth delivering, if ever."""
        notification = attempt.notification
        if notification.expires_at is not None or self.expires_after is None:
            return notification.expires_at
        wanted = notification.scheduled_at or attempt.first_seen
        return wanted + timedelta(seconds=self.expires_after)

    def withheld(
        self, attempt: Attempt, now: datetime, *, perhaps_sent: bool
    ) -> Undeliverable | None:
        """Why an attempt is not to be made at all; None where it is. Pure.

        Doubt comes before the time: what has expired meanwhile may have arrived all the same.

        Args:
            perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
        """
        if perhaps_sent and self.guarantee is Guarantee.AT_MOST_ONCE:
            return Undeliverable(
                Reason.OUTCOME_UNKNOWN,
                Failure(
                    OUTCOME_UNKNOWN,
                    "it may have been sent already: its worker is gone, or an earlier attempt is not known "
                    "here; and this channel sends at most once",
                ),
            )
        return self._too_late(attempt, now)

    def _too_late(self, attempt: Attempt, now: datetime) -> Undeliverable | None:
        expires_at = self.expires_at(attempt)
        if expires_at is None or now < expires_at:
            return None
        return _expired(Failure(UNTRIED, f"not delivered before {expires_at:%Y-%m-%d %H:%M:%S%z}"))

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
                return self._not_its_fault(error, attempt, failure, now)
            case OutcomeUnknown() if self.guarantee is Guarantee.AT_MOST_ONCE:
                return Undeliverable(Reason.OUTCOME_UNKNOWN, failure)
            case Throttled(retry_after=float() | int() as wait):
                return self._again(attempt, failure, self._no_sooner_than(wait), now)
            case _:
                return self._again(attempt, failure, None, now)

    def judge(
        self,
        sent: Sent,
        attempt: Attempt,
        earlier: Sequence[RecipientResult],
        now: datetime,
        *,
        perhaps_sent: bool = False,
    ) -> Outcome:
        """What it means that the provider took it, though not for all its copies perhaps. Pure.

        Args:
            earlier: What earlier attempts settled of each recipient.
            perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
        """
        results = [self._final_result(result, perhaps_sent=perhaps_sent) for result in sent.recipients]
        everybody = merged(earlier, results)
        waiting = [result for result in everybody if not result.settled]
        if waiting:
            again = self._again(attempt, _missed(sent, attempt, results, waiting), None, now)
            if isinstance(again, RetryLater):
                return again
            given_up = [
                replace(result, state=_end(RecipientState.GIVEN_UP, result.kind, perhaps_sent))
                for result in waiting
            ]
            results, everybody = merged(results, given_up), merged(everybody, given_up)
        if missed := [result for result in everybody if result.state in MISSED]:
            failure = _missed(sent, attempt, results, missed)
            return Undeliverable(Reason.COPIES_REFUSED, failure)
        return replace(sent, recipients=tuple(results))

    def _final_result(self, result: RecipientResult, *, perhaps_sent: bool) -> RecipientResult:
        """A result that does not deny what may have been, nor asks again where that may not be done unasked."""
        lost = not result.settled and result.kind == OUTCOME_UNKNOWN
        refused = result.state is RecipientState.REFUSED
        if (refused and perhaps_sent) or (lost and self.guarantee is Guarantee.AT_MOST_ONCE):
            return replace(result, state=RecipientState.UNKNOWN)
        return result

    def _not_its_fault(
        self, error: Exception, attempt: Attempt, failure: Failure, now: datetime
    ) -> RetryLater | Undeliverable | Paused:
        """Not asked, it waits with no attempt spent while its receiver answers others; if not, for as long as all
        its retries would take, and from then on each time spends one, or it would not end."""
        if not isinstance(error, Postponed):
            return Paused(failure)
        since = min(attempt.deferred_since or now, now)
        patience = timedelta(seconds=sum(delay.seconds for delay in self.retry.delays))
        if not self.retry.delays or (not error.answers and now - since >= patience):
            own = self.retry.delay(attempt.number).seconds if self.retry.delays else 0
            return self._again(attempt, failure, self._no_sooner_than(max(error.wait, own)), now)
        return Paused(failure, self._meanwhile(error), since)

    def _meanwhile(self, error: Postponed) -> Delay:
        """The last that is no longer than it takes until this one's turn, so that those that wait don't all come
        back at once; the first that is as long as the receiver rests, where it does."""
        choice = self.queue_delays or self.retry.delays
        short = [delay for delay in choice if delay.seconds <= LONGEST_POSTPONEMENT]
        if error.no_later:
            early = [delay for delay in short if delay.seconds <= error.wait]
            return max(early, default=min(choice))
        # One that does not rest is looked at again no sooner than one that has failed.
        wait = max(error.wait, min(self.retry.delays).seconds)
        return RetryPolicy(tuple(short) or (min(choice),)).at_least(wait)

    def _no_sooner_than(self, wait: float) -> Delay | None:
        """The first delay that is long enough; the longest where none is."""
        choice = RetryPolicy(self.queue_delays or self.retry.delays)
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


def recipient_spared(
    outcome: Outcome | Paused,
    attempt: Attempt,
    earlier: Sequence[RecipientResult],
    *,
    perhaps_sent: bool = False,
) -> Outcome | Paused:
    """What the failure of an attempt means that was only for copies: its recipient has the mail. Pure.

    Args:
        earlier: What earlier attempts settled of each recipient.
        perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
    """
    match outcome:
        case Undeliverable(reason=reason, failure=failure) if (
            reason is not Reason.COPIES_REFUSED and has_it(attempt.notification, earlier)
        ):
            refused = reason is Reason.REJECTED
            state = RecipientState.REFUSED if refused else RecipientState.GIVEN_UP
            state = _end(state, failure.kind, perhaps_sent)
            results = [
                replace(
                    result,
                    state=state,
                    kind=failure.kind,
                    code=failure.code,
                    message=failure.message,
                )
                for result in earlier
                if not result.settled
            ]
            missed = [result for result in merged(earlier, results) if result.state in MISSED]
            sent = Sent(
                failure.provider, failure.reference, failure.code, failure.provider_attempts
            )
            if not missed:  # everybody has it: its dead letter was edited so
                return sent
            return Undeliverable(Reason.COPIES_REFUSED, _missed(sent, attempt, results, missed))
        case _:
            return outcome


def _end(state: RecipientState, kind: str, perhaps_sent: bool) -> RecipientState:
    """How a copy ends that is asked no more: never denied where it may have been delivered."""
    return RecipientState.UNKNOWN if perhaps_sent or kind == OUTCOME_UNKNOWN else state


def _missed(
    sent: Sent,
    attempt: Attempt,
    results: Sequence[RecipientResult],
    missed: Sequence[RecipientResult],
) -> Failure:
    """What is recorded of a mail that some have not got; the first of them speaks for all."""
    first = missed[0]
    return Failure(
        first.kind,
        told(attempt.notification, missed),
        sent.provider,
        first.code,
        sent.provider_attempts,
        sent.reference,
        tuple(results),
    )


def describe(error: Exception) -> Failure:
    """An exception as it is recorded."""
    match error:
        case DeliveryError():
            suppress = error.suppress if isinstance(error, Rejected) else None
            return Failure(
                error.kind,
                error.message,
                error.provider,
                error.code,
                error.provider_attempts,
                suppress=suppress or "",
            )
        case MalformedNotification():
            return Failure("malformed", str(error))
        case _:
            return Failure(
                "unexpected", f"{type(error).__name__} in our own code; the log has its traceback"
            )


def _expired(failure: Failure) -> Undeliverable:
    return Undeliverable(Reason.EXPIRED, failure)
