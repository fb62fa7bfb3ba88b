"""What a failure means: every error, every attempt, every limit."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.attempts import NOW, attempt_of

from tidings.delivery import errors
from tidings.delivery.delay import Delay
from tidings.delivery.errors import (
    BrokerUnavailable,
    Deferred,
    DeliveryError,
    LedgerUnavailable,
    LocalShortage,
    MalformedNotification,
    Misconfigured,
    OutcomeUnknown,
    OutOfService,
    Postponed,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Failure, Reason, Released, RetryLater, Undeliverable
from tidings.delivery.retry_policy import (
    DeliveryPolicy,
    Guarantee,
    RetryPolicy,
    describe,
    postponement_delays,
)

DELAYS = (Delay(60), Delay(120), Delay(240))
BOTH = list(Guarantee)

ERRORS = {
    Rejected: Reason.REJECTED,
    Unavailable: RetryLater,
    Throttled: RetryLater,
    Deferred: RetryLater,
    OutcomeUnknown: RetryLater,
    Misconfigured: Released,
    OutOfService: Released,
    LocalShortage: Released,
    Postponed: Released,
}
"""What each means for a first attempt under `at_least_once`."""


def policy(
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE,
    *,
    delays: tuple[Delay, ...] = DELAYS,
    expires_after: float | None = None,
) -> DeliveryPolicy:
    return DeliveryPolicy(RetryPolicy(delays), guarantee, 30.0, expires_after)


def later(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


def subclasses(of: type[DeliveryError]) -> Iterator[type[DeliveryError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from subclasses(kind)


def test_every_delivery_error_has_a_decision_of_its_own() -> None:
    named = {kind for kind in subclasses(DeliveryError) if kind.__module__ == errors.__name__}
    assert named == set(ERRORS)


def test_every_other_delivery_error_is_a_kind_of_one_that_has_a_decision() -> None:
    for kind in subclasses(DeliveryError):
        assert issubclass(kind, tuple(ERRORS))


@pytest.mark.parametrize("kind", ERRORS)
def test_each_error_means_what_the_tree_of_errors_says(kind: type[DeliveryError]) -> None:
    error = kind("said no", provider="smtp:relay", code="450 4.2.1")
    outcome = policy().decide(error, attempt_of(), NOW)
    expected = ERRORS[kind]
    if isinstance(expected, Reason):
        assert isinstance(outcome, Undeliverable)
        assert outcome.reason is expected
    else:
        assert isinstance(outcome, expected)
    assert outcome.failure == Failure(kind.kind, "said no", "smtp:relay", "450 4.2.1")


def test_kinds_are_told_apart() -> None:
    assert len({kind.kind for kind in ERRORS}) == len(ERRORS)


# Which attempt, how many retries.


@pytest.mark.parametrize("kind", [Unavailable, Throttled, OutcomeUnknown])
@pytest.mark.parametrize(
    ("number", "max_retries"), list(product(range(1, 8), [None, 0, 1, 2, 3, 5]))
)
def test_there_are_as_many_retries_as_the_notification_says_or_else_the_policy(
    kind: type[DeliveryError], number: int, max_retries: int | None
) -> None:
    attempt = attempt_of(number=number, max_retries=max_retries)
    outcome = policy().decide(kind("no"), attempt, NOW)
    if number <= (len(DELAYS) if max_retries is None else max_retries):
        assert outcome == RetryLater(
            outcome.failure, DELAYS[min(number, len(DELAYS)) - 1], number + 1
        )
    else:
        assert outcome == Undeliverable(Reason.EXHAUSTED, outcome.failure)


@pytest.mark.parametrize("number", [1, 100])
def test_a_policy_without_delays_has_no_tier_to_wait_in(number: int) -> None:
    attempt = attempt_of(number=number, max_retries=5)
    for error in (Unavailable("no"), Throttled("no", retry_after=1.0)):
        outcome = policy(delays=()).decide(error, attempt, NOW)
        assert outcome == Undeliverable(Reason.EXHAUSTED, describe(error))


# No provider was called.


@pytest.mark.parametrize(
    ("wait", "seconds"), [(0, 60), (5.0, 60), (61, 120), (150, 240), (10_000, 240)]
)
def test_what_was_not_asked_waits_as_long_as_its_receiver_rests_but_no_more_than_five_minutes(
    wait: float, seconds: int
) -> None:
    delays = tuple(map(Delay, (60, 120, 240, 480, 1800)))
    outcome = policy(delays=delays).decide(Postponed("no", wait=wait), attempt_of(number=3), NOW)

    assert outcome == Released(outcome.failure, Delay(seconds), NOW)


@pytest.mark.parametrize(
    ("wait", "seconds"), [(0, 5), (9.9, 5), (10, 10), (39, 20), (200, 120), (10_000, 240)]
)
@pytest.mark.parametrize("answers", [True, False])
def test_what_may_have_its_turn_then_comes_back_before(
    wait: float, seconds: int, answers: bool
) -> None:
    queue_delays = tuple(map(Delay, (5, 10, 20, 60, 120, 240, 480)))
    own = DeliveryPolicy(
        RetryPolicy(DELAYS), Guarantee.AT_LEAST_ONCE, 30.0, queue_delays=queue_delays
    )
    error = Postponed("no", wait=wait, answers=answers, no_later=True)
    outcome = own.decide(error, attempt_of(), NOW)

    assert outcome == Released(outcome.failure, Delay(seconds), NOW)


@pytest.mark.parametrize(
    ("delays", "expected"), [((60, 2, 300, 60, 301), (2, 60, 300)), ((900, 3600), (900,))]
)
def test_one_may_be_put_off_for_as_long_as_there_are_queues_up_to_five_minutes(
    delays: Sequence[int], expected: Sequence[float]
) -> None:
    assert postponement_delays(map(Delay, delays)) == expected


def test_where_every_retry_waits_longer_it_waits_for_the_shortest() -> None:
    delays = (Delay(3600), Delay(900))
    outcome = policy(delays=delays).decide(Postponed("no", wait=5.0), attempt_of(), NOW)

    assert outcome == Released(outcome.failure, Delay(900), NOW)


@pytest.mark.parametrize(
    ("postponed", "spends"), [(0, False), (419, False), (420, True), (9e6, True)]
)
def test_it_spends_no_attempt_for_as_long_as_all_its_retries_would_take(
    postponed: float, spends: bool
) -> None:
    since = NOW - timedelta(seconds=postponed)
    attempt = replace(attempt_of(number=2), postponed_since=since)
    outcome = policy().decide(Postponed("no", wait=0.0), attempt, NOW)

    expected = RetryLater(outcome.failure, DELAYS[1], 3) if spends else None
    assert outcome == (expected or Released(outcome.failure, DELAYS[0], since))


def test_that_counts_from_when_it_was_put_off_first_however_old_it_is() -> None:
    later_on = NOW + timedelta(days=30)
    outcome = policy().decide(Postponed("no"), attempt_of(), later_on)

    assert outcome == Released(outcome.failure, DELAYS[0], later_on)


def test_a_time_ahead_of_ours_counts_from_now() -> None:
    attempt = replace(attempt_of(), postponed_since=NOW + timedelta(days=1))
    outcome = policy().decide(Postponed("no"), attempt, NOW)

    assert outcome == Released(outcome.failure, DELAYS[0], NOW)


def test_it_never_spends_one_while_its_receiver_answers_others() -> None:
    attempt = replace(attempt_of(number=4), postponed_since=NOW - timedelta(days=1))
    outcome = policy().decide(Postponed("no", wait=1.0, answers=True), attempt, NOW)

    assert isinstance(outcome, Released)


def test_a_spent_one_waits_as_long_as_its_receiver_rests_and_no_less_than_after_a_failure() -> None:
    attempt = replace(attempt_of(number=2), postponed_since=NOW - timedelta(days=1))
    waits = [policy().decide(Postponed("no", wait=wait), attempt, NOW) for wait in (0.0, 200.0)]

    assert [outcome.delay for outcome in waits if isinstance(outcome, RetryLater)] == [
        DELAYS[1],
        DELAYS[2],
    ]


def test_what_is_never_asked_ends_all_the_same() -> None:
    now, attempt, rounds = NOW, attempt_of(), 0
    while not isinstance(outcome := policy().decide(Postponed("no"), attempt, now), Undeliverable):
        delay = outcome.delay
        assert delay is not None
        now, rounds = now + timedelta(seconds=delay.seconds), rounds + 1
        match outcome:
            case RetryLater(next_attempt=number):
                attempt = replace(attempt, number=number)
            case Released(since=since):
                attempt = replace(attempt, postponed_since=since)

    assert outcome.reason is Reason.EXHAUSTED
    assert rounds < 20


# Retry-After.


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        (None, DELAYS[0]),
        (0, DELAYS[0]),
        (-5.0, DELAYS[0]),
        (60, DELAYS[0]),
        (60.1, DELAYS[1]),
        (200.0, DELAYS[2]),
        (86_400.0, DELAYS[2]),
        (float("inf"), DELAYS[2]),
        (float("nan"), DELAYS[2]),
    ],
)
def test_retry_after_picks_the_first_tier_that_is_long_enough(
    retry_after: float | None, delay: Delay
) -> None:
    outcome = policy().decide(Throttled("slow", retry_after=retry_after), attempt_of(), NOW)
    assert isinstance(outcome, RetryLater)
    assert outcome.delay == delay


def test_retry_after_gives_no_further_attempt() -> None:
    error = Throttled("slow", retry_after=1.0)
    outcome = policy().decide(error, attempt_of(number=4), NOW)
    assert outcome == Undeliverable(Reason.EXHAUSTED, describe(error))


def test_retry_after_chooses_from_all_tiers_of_its_channel() -> None:
    queue_delays = (Delay(5), Delay(60), Delay(3600))
    urgent = DeliveryPolicy(
        RetryPolicy((Delay(5), Delay(60))), Guarantee.AT_LEAST_ONCE, 30.0, queue_delays=queue_delays
    )
    outcome = urgent.decide(Throttled("slow", retry_after=600.0), attempt_of(), NOW)
    assert isinstance(outcome, RetryLater)
    assert outcome.delay == Delay(3600)


def test_a_wait_that_the_provider_did_not_ask_for_is_the_policy_s_own() -> None:
    queue_delays = (Delay(1), Delay(60))
    plain = DeliveryPolicy(
        RetryPolicy((Delay(60),)), Guarantee.AT_LEAST_ONCE, 30.0, queue_delays=queue_delays
    )
    outcome = plain.decide(Throttled("slow"), attempt_of(), NOW)
    assert isinstance(outcome, RetryLater)
    assert outcome.delay == Delay(60)


# Expiry.


@pytest.mark.parametrize(
    ("expires_in", "expired"), [(59, True), (60, True), (61, False), (-1, True)]
)
def test_a_retry_that_would_come_too_late_is_none(expires_in: float, expired: bool) -> None:
    attempt = attempt_of(expires_at=later(expires_in))
    outcome = policy().decide(Unavailable("no"), attempt, NOW)
    if expired:
        assert outcome == Undeliverable(Reason.EXPIRED, describe(Unavailable("no")))
    else:
        assert isinstance(outcome, RetryLater)


def test_the_wait_that_a_provider_asks_for_counts_against_expiry_too() -> None:
    attempt = attempt_of(expires_at=later(100))
    outcome = policy().decide(Throttled("slow", retry_after=90.0), attempt, NOW)
    assert outcome == Undeliverable(Reason.EXPIRED, describe(Throttled("slow")))


def test_the_last_attempt_is_exhausted_and_not_expired() -> None:
    attempt = attempt_of(number=4, expires_at=later(1))
    outcome = policy().decide(Unavailable("no"), attempt, NOW)
    assert outcome == Undeliverable(Reason.EXHAUSTED, describe(Unavailable("no")))


@pytest.mark.parametrize("guarantee", BOTH)
@pytest.mark.parametrize(
    "error", [Rejected("no"), Misconfigured("no"), MalformedNotification("no")]
)
def test_what_time_does_not_mend_does_not_expire(error: Exception, guarantee: Guarantee) -> None:
    late = attempt_of(expires_at=later(-60))
    assert policy(guarantee).decide(error, late, NOW) == policy(guarantee).decide(
        error, attempt_of(), NOW
    )


def test_without_expiry_of_its_own_the_category_s_counts_from_first_sight() -> None:
    attempt = attempt_of()
    assert policy(expires_after=600.0).expires_at(attempt) == NOW + timedelta(seconds=600)
    assert policy().expires_at(attempt) is None


def test_the_category_s_expiry_of_a_scheduled_one_counts_from_its_due_time() -> None:
    attempt = attempt_of(scheduled_at=later(3600))
    assert policy(expires_after=600.0).expires_at(attempt) == NOW + timedelta(seconds=4200)


def test_the_notification_s_own_expiry_wins_over_the_category_s() -> None:
    attempt = attempt_of(expires_at=later(5))
    assert policy(expires_after=600.0).expires_at(attempt) == NOW + timedelta(seconds=5)


@pytest.mark.parametrize(("after", "expired"), [(-0.001, False), (0, True), (1, True)])
def test_an_attempt_that_comes_too_late_is_not_sent(after: float, expired: bool) -> None:
    attempt = attempt_of(expires_at=later(0))
    outcome = policy().withheld(attempt, NOW + timedelta(seconds=after), perhaps_sent=False)
    assert (outcome is not None) == expired
    if outcome is not None:
        assert outcome.reason is Reason.EXPIRED
        assert "not delivered before 2026-03-01 12:00:00+0000" in outcome.failure.message


def test_what_never_expires_is_always_in_time() -> None:
    assert policy().withheld(attempt_of(), NOW + timedelta(days=3650), perhaps_sent=False) is None


# Guarantees.


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("expires_in", [None, 1, 10_000])
def test_sending_at_most_once_leaves_a_lost_reply_to_a_person(
    number: int, expires_in: float | None
) -> None:
    expires_at = None if expires_in is None else later(expires_in)
    attempt = attempt_of(number=number, expires_at=expires_at)
    error = OutcomeUnknown("the reply was lost")
    outcome = policy(Guarantee.AT_MOST_ONCE).decide(error, attempt, NOW)
    assert outcome == Undeliverable(Reason.OUTCOME_UNKNOWN, describe(error))


@pytest.mark.parametrize("kind", [Unavailable, Throttled, Deferred, Rejected, Misconfigured])
def test_the_guarantee_matters_only_where_nobody_knows(kind: type[DeliveryError]) -> None:
    decisions = [policy(guarantee).decide(kind("no"), attempt_of(), NOW) for guarantee in BOTH]
    assert decisions[0] == decisions[1]


# Unexpected errors.


@pytest.mark.parametrize("guarantee", BOTH)
@pytest.mark.parametrize("error", [KeyError("secret"), RuntimeError("secret"), AssertionError()])
def test_an_unexpected_exception_is_tried_again_and_at_last_a_dead_letter(
    error: Exception, guarantee: Guarantee
) -> None:
    first = policy(guarantee).decide(error, attempt_of(), NOW)
    last = policy(guarantee).decide(error, attempt_of(number=4), NOW)
    assert first == RetryLater(first.failure, DELAYS[0], 2)
    assert last == Undeliverable(Reason.EXHAUSTED, first.failure)
    assert first.failure.kind == "unexpected"
    assert type(error).__name__ in first.failure.message
    assert "secret" not in first.failure.message


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("x"), LedgerUnavailable("x"), TimeoutError(), asyncio.QueueFull()]
)
def test_an_exception_that_is_no_channel_s_is_unexpected_too(error: Exception) -> None:
    assert isinstance(policy().decide(error, attempt_of(), NOW), RetryLater)


def test_a_malformed_notification_is_undeliverable_with_its_problems() -> None:
    error = MalformedNotification("subject: is missing", "body: is missing")
    outcome = policy().decide(error, attempt_of(), NOW)
    assert outcome == Undeliverable(
        Reason.MALFORMED, Failure("malformed", "subject: is missing; body: is missing")
    )


# The list of delays.


def test_the_default_policy_doubles_from_a_minute_up_to_half_an_hour() -> None:
    delays = RetryPolicy.exponential(initial=60, multiplier=2, maximum=1800, count=6).delays
    assert [delay.name for delay in delays] == ["1m", "2m", "4m", "8m", "16m", "30m"]


@given(
    initial=st.integers(1, 3600),
    multiplier=st.floats(1, 10),
    maximum=st.integers(3600, 7 * 86_400),
    count=st.integers(0, 20),
)
def test_exponential_delays_never_shrink_and_never_pass_the_maximum(
    initial: int, multiplier: float, maximum: int, count: int
) -> None:
    delays = RetryPolicy.exponential(initial, multiplier, maximum, count).delays
    assert len(delays) == count
    assert all(earlier <= next_ for earlier, next_ in pairwise(delays))
    assert all(initial <= delay.seconds <= maximum for delay in delays)


some_delays = st.lists(st.integers(1, 7 * 86_400).map(Delay), min_size=1, max_size=8).map(tuple)


@given(some_delays, st.floats(allow_nan=False))
def test_at_least_is_the_shortest_delay_that_is_long_enough_or_else_the_longest(
    delays: tuple[Delay, ...], wait: float
) -> None:
    chosen = RetryPolicy(delays).at_least(wait)
    enough = [delay for delay in delays if delay.seconds >= wait]
    assert chosen == (min(enough) if enough else max(delays))


@given(some_delays, st.integers(1, 200))
def test_past_the_end_of_the_list_the_last_delay_holds(
    delays: tuple[Delay, ...], number: int
) -> None:
    expected = delays[number - 1] if number <= len(delays) else delays[-1]
    assert RetryPolicy(delays).delay(number) == expected


@given(
    delays=st.lists(st.integers(1, 7 * 86_400).map(Delay), max_size=5).map(tuple),
    guarantee=st.sampled_from(Guarantee),
    kind=st.sampled_from([*ERRORS, KeyError]),
    number=st.integers(1, 10_000),
    max_retries=st.none() | st.integers(0, 100),
    expires_in=st.none() | st.integers(1, 10_000_000),
    retry_after=st.none() | st.floats(),
)
def test_every_decision_is_one_that_the_worker_knows_how_to_settle(
    delays: tuple[Delay, ...],
    guarantee: Guarantee,
    kind: type[Exception],
    number: int,
    max_retries: int | None,
    expires_in: int | None,
    retry_after: float | None,
) -> None:
    expires_at = None if expires_in is None else later(expires_in)
    attempt = attempt_of(number=number, max_retries=max_retries, expires_at=expires_at)
    error = Throttled("no", retry_after=retry_after) if kind is Throttled else kind("no")
    outcome = policy(guarantee, delays=delays).decide(error, attempt, NOW)
    if isinstance(outcome, RetryLater):
        assert outcome.delay in delays, "only these have a retry queue to wait in"
        assert outcome.next_attempt == number + 1
        assert number <= (len(delays) if max_retries is None else max_retries)
        if expires_in is not None:
            assert outcome.delay.seconds < expires_in
    elif isinstance(outcome, Undeliverable):
        assert outcome.reason in {
            Reason.REJECTED,
            Reason.EXHAUSTED,
            Reason.EXPIRED,
            Reason.OUTCOME_UNKNOWN,
        }
    else:
        assert kind in {Misconfigured, OutOfService, LocalShortage, Postponed}
        assert outcome.delay in {None, *delays}
