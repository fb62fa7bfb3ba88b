"""What Prometheus reads."""

from collections.abc import Iterator, Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidings.delivery.delay import Delay
from tidings.delivery.errors import DeliveryError
from tidings.delivery.outcome import (
    UNTRIED,
    Failure,
    Outcome,
    Reason,
    Released,
    RetryLater,
    Sent,
    Undeliverable,
)
from tidings.telemetry.metrics import KINDS, Metrics

FAILURE = Failure("throttled", "slow down")


def value(metrics: Metrics, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    return metrics.registry.get_sample_value(name, dict(labels or {}))


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Sent("smtp"), "sent"),
        (RetryLater(FAILURE, Delay(60), 2), "retry_later"),
        (Released(FAILURE), "released"),
        *((Undeliverable(reason, FAILURE), reason.value) for reason in Reason),
    ],
)
def test_an_attempt_is_counted_by_what_became_of_it(
    outcome: Outcome | Released, label: str
) -> None:
    metrics = Metrics()
    metrics.channel("email").attempt(outcome, 0.2, 3.0)
    failed = not isinstance(outcome, Sent)
    of = {"channel": "email"}
    assert value(metrics, "tidings_attempts_total", {**of, "outcome": label}) == 1
    assert value(metrics, "tidings_send_seconds_sum", of) == pytest.approx(0.2)
    assert value(metrics, "tidings_delivery_seconds_count", of) == (0 if failed else 1)
    kinds = value(metrics, "tidings_failures_total", {**of, "kind": "throttled"})
    assert kinds == (1 if failed else 0)


def test_what_expired_before_it_was_tried_counts_as_no_attempt() -> None:
    metrics = Metrics()
    late = Undeliverable(Reason.EXPIRED, Failure(UNTRIED, "not delivered before noon"))
    metrics.channel("email").attempt(late, 0.0, None)
    of = {"channel": "email"}
    assert value(metrics, "tidings_attempts_total", {**of, "outcome": "expired"}) == 0
    assert value(metrics, "tidings_send_seconds_count", of) == 0
    assert not value(metrics, "tidings_failures_total", {**of, "kind": UNTRIED})


def test_every_outcome_is_there_from_the_start_so_that_a_rate_over_it_is_zero_and_not_absent() -> (
    None
):
    metrics = Metrics()
    metrics.channel("sms")
    for outcome in ("sent", "retry_later", "released", *Reason):
        labels = {"channel": "sms", "outcome": str(outcome)}
        assert value(metrics, "tidings_attempts_total", labels) == 0


def test_every_counter_that_may_rise_is_there_at_zero_before_it_does() -> None:
    """`increase()` of what rises from nothing to one is 0: the first failure would go unseen."""
    metrics = Metrics()
    metrics.expect(["sms"])
    metrics.api.expect([("/v1/notifications", "POST")])
    metrics.channel("sms")
    for status in ("429", "500", "503"):
        labels = {"route": "/v1/notifications", "method": "POST", "status": status}
        assert value(metrics, "tidings_api_requests_total", labels) == 0
    for kind in ("unavailable", "deferred", "rejected", "outcome_unknown", "unexpected"):
        labels = {"channel": "sms", "kind": kind}
        assert value(metrics, "tidings_failures_total", labels) == 0
    for channel in ("sms", "unknown"):
        for reason in Reason:
            labels = {"channel": channel, "reason": reason.value}
            assert value(metrics, "tidings_dead_letters_total", labels) == 0
    counters = [
        family
        for family in text_string_to_metric_families(metrics.render().decode())
        if family.type == "counter" and family.name.startswith("tidings_")
    ]
    assert [family.name for family in counters if not family.samples] == []
    assert {sample.value for family in counters for sample in family.samples} == {0}


def test_every_error_of_a_channel_has_its_counter() -> None:
    def kinds(error: type[DeliveryError]) -> Iterator[str]:
        for below in error.__subclasses__():
            yield below.kind
            yield from kinds(below)

    assert set(kinds(DeliveryError)) <= set(KINDS)


def test_an_error_of_a_kind_that_nobody_foresaw_is_counted_all_the_same() -> None:
    metrics = Metrics()
    metrics.channel("sms").attempt(Released(Failure("lunar", "full moon")), 0.1, 0)
    labels = {"channel": "sms", "kind": "lunar"}
    assert value(metrics, "tidings_failures_total", labels) == 1


def test_no_series_tells_when_another_was_created() -> None:
    metrics = Metrics()
    metrics.channel("sms")
    assert b"_created" not in metrics.render()


def test_how_long_a_replay_took_says_nothing_of_how_fast_delivery_is() -> None:
    metrics = Metrics()
    channel, of = metrics.channel("sms"), {"channel": "sms"}
    channel.attempt(Sent("twilio"), 0.1, 0.5)
    channel.attempt(Sent("twilio"), 0.1, 3 * 86_400.0, replayed=True)
    assert value(metrics, "tidings_delivery_seconds_sum", of) == pytest.approx(0.5)
    assert value(metrics, "tidings_replay_delivery_seconds_count", of) == 1


def test_dead_letters_that_were_settled_count_as_none_and_do_not_vanish() -> None:
    metrics = Metrics()
    metrics.open_dead_letters(
        {("sms", "rejected"): (3, 60.0), ("sms", "expired"): (1, 90.0), ("", "malformed"): (2, 5.0)}
    )
    name, rejected = "tidings_dead_letters_open", {"channel": "sms", "reason": "rejected"}
    assert value(metrics, name, rejected) == 3
    assert value(metrics, name, {"channel": "unknown", "reason": "malformed"}) == 2
    assert value(metrics, "tidings_dead_letters_oldest_seconds", {"channel": "sms"}) == 90
    metrics.open_dead_letters({})
    assert value(metrics, name, rejected) == 0
    assert value(metrics, "tidings_dead_letters_oldest_seconds", {"channel": "sms"}) == 0


def test_a_channel_s_other_events_are_counted() -> None:
    metrics = Metrics()
    channel = metrics.channel("webhook")
    channel.duplicate()
    channel.claim_conflict()
    channel.malformed()
    channel.in_flight.set_function(lambda: 7)
    channel.suspended.set(1)
    names = {
        "tidings_duplicates_total": 1,
        "tidings_claim_conflicts_total": 1,
        "tidings_malformed_total": 1,
        "tidings_in_flight": 7,
        "tidings_channel_suspended": 1,
    }
    assert {name: value(metrics, name, {"channel": "webhook"}) for name in names} == names


def test_asking_for_a_channel_twice_counts_on_the_same_series() -> None:
    metrics = Metrics()
    assert metrics.channel("email") is metrics.channel("email")


def test_dead_letters_and_the_scheduler_are_counted() -> None:
    metrics = Metrics()
    metrics.dead_letter("email", Reason.REJECTED)
    metrics.dead_letter(None, Reason.MALFORMED, 3)
    metrics.dispatched(0.3)
    metrics.dispatched(-0.1)
    malformed = {"channel": "unknown", "reason": "malformed"}
    assert value(metrics, "tidings_dead_letters_total", malformed) == 3
    assert value(metrics, "tidings_scheduler_dispatched_total") == 2
    assert value(metrics, "tidings_scheduler_lateness_seconds_sum") == pytest.approx(0.3)


def test_two_processes_in_one_interpreter_do_not_share_a_count() -> None:
    first, other = Metrics(), Metrics()
    first.channel("email").duplicate()
    other.channel("email")
    assert value(other, "tidings_duplicates_total", {"channel": "email"}) == 0


def test_what_is_rendered_can_be_read_and_says_which_version_runs() -> None:
    families = {
        family.name: family
        for family in text_string_to_metric_families(Metrics().render().decode())
    }
    assert {"tidings_attempts", "tidings_broker_up", "process_open_fds"} <= set(families)
    assert families["tidings_build_info"].samples[0].labels["version"]
    assert all(family.documentation for family in families.values())


def test_a_process_without_a_scheduler_says_nothing_of_schedules() -> None:
    metrics = Metrics()
    assert "tidings_scheduled" not in metrics.render().decode()

    metrics.waiting(0, 0)
    metrics.waiting(3, 1)

    assert "tidings_scheduled 3.0" in metrics.render().decode()
