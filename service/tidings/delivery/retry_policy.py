"""Decides what follows a failure: another attempt after a delay, or a dead letter."""

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
    Reason,
    Released,
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
    missed_copies,
)

LONGEST_POSTPONEMENT: Final = 300
"""Seconds: well below the age at which a waiting message may be considered lost (`TIDINGS_REQUEUE_AFTER`)."""


def postponement_delays(delays: Iterable[Delay]) -> tuple[float, ...]:
    """Delays in seconds for postponing a notification without spending an attempt, the shortest first."""
    short = sorted({each.seconds for each in delays})
    return tuple(each for each in short if each <= LONGEST_POSTPONEMENT) or (short[0],)


class Guarantee(StrEnum):
    """What a channel does if it can't know whether a notification was sent."""

    AT_LEAST_ONCE = "at_least_once"
    """Send again, and mark the attempt as a possible duplicate."""
    AT_MOST_ONCE = "at_most_once"
    """Send again only if a person replays it: the notification becomes `unknown`."""


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
    """Seconds that a send may take."""
    expires_after: float | None = None
    """Seconds after which a notification without `expires_at` is not worth delivering."""
    queue_delays: tuple[Delay, ...] = ()
    """The delays of this channel's retry queues, from which `Retry-After` selects."""

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
        """Why an attempt is not made at all; None if it is. Pure.

        A possible delivery counts before expiry: an expired notification may have been delivered all the same.

        Args:
            perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
        """
        if perhaps_sent and self.guarantee is Guarantee.AT_MOST_ONCE:
            return Undeliverable(
                Reason.OUTCOME_UNKNOWN,
                Failure(
                    OUTCOME_UNKNOWN,
                    "it may have been sent already: its worker died, or an earlier attempt is unknown here; "
                    "this channel sends at most once",
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
    ) -> RetryLater | Undeliverable | Released:
        """What follows this error. Pure; an unexpected exception is retried."""
        failure = describe(error)
        match error:
            case MalformedNotification():
                return Undeliverable(Reason.MALFORMED, failure)
            case Rejected():
                return Undeliverable(Reason.REJECTED, failure)
            case Misconfigured() | OutOfService():
                return self._postpone_or_retry(error, attempt, failure, now)
            case OutcomeUnknown() if self.guarantee is Guarantee.AT_MOST_ONCE:
                return Undeliverable(Reason.OUTCOME_UNKNOWN, failure)
            case Throttled(retry_after=float() | int() as wait):
                return self._retry(attempt, failure, self._no_sooner_than(wait), now)
            case _:
                return self._retry(attempt, failure, None, now)

    def decide_sent(
        self,
        sent: Sent,
        attempt: Attempt,
        earlier: Sequence[RecipientResult],
        now: datetime,
        *,
        perhaps_sent: bool = False,
    ) -> Outcome:
        """What follows if the provider accepted it, perhaps not for all copies. Pure.

        Args:
            earlier: The results of earlier attempts for each recipient.
            perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
        """
        results = [
            self._final_result(result, perhaps_sent=perhaps_sent) for result in sent.recipients
        ]
        latest = merged(earlier, results)
        waiting = [result for result in latest if not result.settled]
        if waiting:
            again = self._retry(attempt, _missed(sent, attempt, results, waiting), None, now)
            if isinstance(again, RetryLater):
                return again
            given_up = [
                replace(result, state=_end(RecipientState.GIVEN_UP, result.kind, perhaps_sent))
                for result in waiting
            ]
            results, latest = merged(results, given_up), merged(latest, given_up)
        if missed := [result for result in latest if result.state in MISSED]:
            failure = _missed(sent, attempt, results, missed)
            return Undeliverable(Reason.COPIES_REFUSED, failure)
        return replace(sent, recipients=tuple(results))

    def _final_result(self, result: RecipientResult, *, perhaps_sent: bool) -> RecipientResult:
        """A result that doesn't deny a possible delivery, and is not retried if the channel sends at most once."""
        lost = not result.settled and result.kind == OUTCOME_UNKNOWN
        refused = result.state is RecipientState.REFUSED
        if (refused and perhaps_sent) or (lost and self.guarantee is Guarantee.AT_MOST_ONCE):
            return replace(result, state=RecipientState.UNKNOWN)
        return result

    def _postpone_or_retry(
        self, error: Exception, attempt: Attempt, failure: Failure, now: datetime
    ) -> RetryLater | Undeliverable | Released:
        """A postponed notification spends no attempt while its receiver answers others; if it doesn't, none for as long as
        all retries would take, and after that one each time, or it would never end."""
        if not isinstance(error, Postponed):
            return Released(failure)
        since = min(attempt.postponed_since or now, now)
        all_retries = timedelta(seconds=sum(delay.seconds for delay in self.retry.delays))
        if not self.retry.delays or (not error.answers and now - since >= all_retries):
            own = self.retry.delay(attempt.number).seconds if self.retry.delays else 0
            return self._retry(attempt, failure, self._no_sooner_than(max(error.wait, own)), now)
        return Released(failure, self._postponement_delay(error), since)

    def _postponement_delay(self, error: Postponed) -> Delay:
        """The longest delay within `wait` if its turn comes then, so that waiting ones don't all return at once; or else the
        shortest delay of at least `wait`."""
        choice = self.queue_delays or self.retry.delays
        short = [delay for delay in choice if delay.seconds <= LONGEST_POSTPONEMENT]
        if error.no_later:
            early = [delay for delay in short if delay.seconds <= error.wait]
            return max(early, default=min(choice))
        # Never sooner than a failed notification would be retried.
        wait = max(error.wait, min(self.retry.delays).seconds)
        return RetryPolicy(tuple(short) or (min(choice),)).at_least(wait)

    def _no_sooner_than(self, wait: float) -> Delay | None:
        """The shortest delay that is long enough; the longest if none is."""
        choice = RetryPolicy(self.queue_delays or self.retry.delays)
        return choice.at_least(wait) if choice.delays else None

    def _retry(
        self, attempt: Attempt, failure: Failure, wait: Delay | None, now: datetime
    ) -> RetryLater | Undeliverable:
        retries = attempt.notification.max_retries
        if not self.retry.delays or attempt.number > (
            len(self.retry.delays) if retries is None else retries
        ):
            return Undeliverable(Reason.EXHAUSTED, failure)
        delay = wait or self._delay(attempt)
        expires_at = self.expires_at(attempt)
        if expires_at is not None and now + timedelta(seconds=delay.seconds) >= expires_at:
            return _expired(failure)
        return RetryLater(failure, delay, attempt.number + 1)

    def _delay(self, attempt: Attempt) -> Delay:
        """The wait after an attempt. A test waits as briefly as it can: its sender, mostly a CI, waits for it."""
        if attempt.notification.test:
            return min(self.queue_delays or self.retry.delays)
        return self.retry.delay(attempt.number)


def decide_copies(
    outcome: Outcome | Released,
    attempt: Attempt,
    earlier: Sequence[RecipientResult],
    *,
    perhaps_sent: bool = False,
) -> Outcome | Released:
    """What follows a failed attempt that was for copies only: the recipient has the mail. Pure.

    Args:
        earlier: The results of earlier attempts for each recipient.
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
            if not missed:  # all have it: its dead letter was edited
                return sent
            return Undeliverable(Reason.COPIES_REFUSED, _missed(sent, attempt, results, missed))
        case _:
            return outcome


def _end(state: RecipientState, kind: str, perhaps_sent: bool) -> RecipientState:
    """The final state of a copy: `unknown` if it may have been delivered."""
    return RecipientState.UNKNOWN if perhaps_sent or kind == OUTCOME_UNKNOWN else state


def _missed(
    sent: Sent,
    attempt: Attempt,
    results: Sequence[RecipientResult],
    missed: Sequence[RecipientResult],
) -> Failure:
    """The failure of a mail that some recipients did not get, with the first one's details."""
    first = missed[0]
    return Failure(
        first.kind,
        missed_copies(attempt.notification, missed),
        sent.provider,
        first.code,
        sent.provider_attempts,
        sent.reference,
        tuple(results),
    )


def describe(error: Exception) -> Failure:
    """The recorded form of an exception."""
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
