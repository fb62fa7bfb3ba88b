"""The one line that every attempt leaves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from structlog.testing import capture_logs
from tests.support.attempts import read_in_its_lane

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.delay import Delay
from tidings.delivery.errors import Rejected, Suppression
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
from tidings.delivery.retry_policy import describe
from tidings.telemetry.attempt_log import log_attempt, trace_id_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
FAILURE = Failure("unavailable", "greylisted", "smtp:mx.example.com", "451 4.7.1")


def attempt() -> Attempt:
    body = {
        "id": str(UUID(int=7)),
        "channel": "email",
        "recipient": "jane@example.com",
        "tenant": "acme",
        "category": "receipt",
        "subject": "Hi",
        "body": "there",
        "entity": {"type": "order", "id": "10042"},
    }
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-tidings-attempt": 2}
    return read_in_its_lane(
        Message(json.dumps(body).encode(), "email.high", headers),
        now=datetime.now(UTC) - timedelta(seconds=3),
    )


def logged(outcome: Outcome | Released) -> dict[str, Any]:
    with capture_logs() as lines:
        log_attempt(attempt(), outcome, duration=0.25, possible_duplicate=True)
    (line,) = lines
    return dict(line)


def test_it_answers_who_what_where_how_long_and_how_it_ended() -> None:
    line = logged(Sent("smtp:mx.example.com", "4XyZ", "250"))
    queued = line.pop("queued_ms")
    assert line == {
        "event": "attempt",
        "log_level": "info",
        "id": str(UUID(int=7)),
        "channel": "email",
        "priority": "high",
        "tenant": "acme",
        "category": "receipt",
        "recipient": "j…@example.com",
        "epoch": 0,
        "attempt": 2,
        "outcome": "sent",
        "provider": "smtp:mx.example.com",
        "code": "250",
        "reference": "4XyZ",
        "duration_ms": 250.0,
        "possible_duplicate": True,
        "entity": "order:10042",
        "trace_id": TRACE,
    }
    assert 2_700 < queued < 60_000


@pytest.mark.parametrize(
    ("outcome", "level", "event"),
    [
        (RetryLater(FAILURE, Delay(120), 3), "info", "retry_later"),
        (Undeliverable(Reason.EXHAUSTED, FAILURE), "warning", "exhausted"),
        (Released(FAILURE), "warning", "released"),
    ],
)
def test_a_failure_says_what_failed_and_is_a_warning_where_nothing_more_is_tried(
    outcome: Outcome | Released, level: str, event: str
) -> None:
    line = logged(outcome)
    assert (line["log_level"], line["outcome"]) == (level, event)
    assert (line["error_kind"], line["error"]) == ("unavailable", "greylisted")
    assert (line["provider"], line["code"]) == ("smtp:mx.example.com", "451 4.7.1")


def test_a_recipient_to_suppress_is_told_with_the_reason() -> None:
    error = Rejected("no such mailbox", suppress=Suppression.NO_SUCH_RECIPIENT)
    line = logged(Undeliverable(Reason.REJECTED, describe(error)))
    assert line["suppress"] == "no_such_recipient"
    assert "suppress" not in logged(Undeliverable(Reason.EXHAUSTED, FAILURE))


def test_what_expired_before_it_was_tried_is_told_of_the_last_attempt_there_was() -> None:
    line = logged(Undeliverable(Reason.EXPIRED, Failure(UNTRIED, "not delivered before noon")))
    assert (line["event"], line["attempt"]) == ("expired before an attempt", 1)
    assert (line["log_level"], line["outcome"]) == ("warning", "expired")
    tried = logged(Undeliverable(Reason.EXPIRED, FAILURE))
    assert (tried["event"], tried["attempt"]) == ("attempt", 2)


def test_where_its_level_is_not_logged_nothing_is_even_built() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} was read")

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    try:
        log_attempt(
            Untouchable(),  # type: ignore[arg-type]  # that it is not looked at is the point
            Sent("smtp"),
            duration=1,
            possible_duplicate=False,
        )
    finally:
        structlog.reset_defaults()


@pytest.mark.parametrize("odd", [None, "", "garbage", "00-short-b7ad6b7169203331-01", "a-b"])
def test_a_traceparent_without_a_trace_id_has_none(odd: str | None) -> None:
    assert trace_id_of(odd) is None
