"""Headers of dead letters: bounded when written, harmless when read."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

from tests.support.attempts import read_in_its_lane

from tidings.broker import dead_letter_headers
from tidings.broker.storable import DEEPEST, LONGEST_TEXT, MOST_ITEMS, storable, text_of
from tidings.delivery.attempt import Message
from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings_events.routing import Headers

BODY = json.dumps(
    {
        "id": "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d",
        "channel": "email",
        "recipient": "a@example.com",
        "subject": "s",
        "body": "b",
    }
).encode()


def test_what_a_worker_says_is_bounded_and_fit_for_postgresql() -> None:
    attempt = read_in_its_lane(Message(BODY, "email.high", {Headers.EPOCH: 3, Headers.ATTEMPT: 2}))
    failure = Failure("rejected\x00", "x" * 100_000, "smtp:\ud800", "5" * 999)
    headers = dead_letter_headers.headers_of(
        attempt, Undeliverable(Reason.REJECTED, failure), "w" * 999
    )
    assert all(len(value) <= 1_000 for value in headers.values() if isinstance(value, str))
    assert not any("\x00" in value for value in headers.values() if isinstance(value, str))
    json.dumps(headers).encode()
    assert (headers[Headers.EPOCH], headers[Headers.ATTEMPT]) == (3, 2)
    assert headers[Headers.DEAD_LETTER] == str(dead_letter_headers.dead_letter_id(attempt.id, 3))


def test_what_a_worker_says_is_read_as_it_was_written() -> None:
    attempt = read_in_its_lane(Message(BODY, "email.high", {Headers.EPOCH: 3, Headers.ATTEMPT: 2}))
    failure = Failure("rejected", "no such mailbox", "smtp:relay", "550")
    headers = dead_letter_headers.headers_of(attempt, Undeliverable(Reason.REJECTED, failure), "w")
    assert dead_letter_headers.DeadLetterHeaders.of(headers) == (
        dead_letter_headers.DeadLetterHeaders(
            reason=Reason.REJECTED,
            failure=failure,
            epoch=3,
            attempt=2,
            first_seen=attempt.first_seen,
            dead_letter=dead_letter_headers.dead_letter_id(attempt.id, 3),
            queue="",
        )
    )


def test_each_life_of_a_notification_has_one_dead_letter() -> None:
    id = uuid4()
    assert dead_letter_headers.dead_letter_id(id, 0) == dead_letter_headers.dead_letter_id(
        UUID(str(id)), 0
    )
    assert dead_letter_headers.dead_letter_id(id, 0) != dead_letter_headers.dead_letter_id(id, 1)


def test_an_unread_message_of_a_producer_or_in_a_strange_lane_says_nothing_of_epochs() -> None:
    home = Message(b"{", "email.high", {Headers.EPOCH: 7, Headers.ATTEMPT: 2})
    strange = Misrouted("sms", "channel: no")
    for message, error in (
        (Message(b"{", "email.high"), MalformedNotification("body: no")),
        (home, strange),
    ):
        headers = dead_letter_headers.headers_of_unread(message, error, "w", "tidings.email.high")
        assert Headers.EPOCH not in headers
        assert headers[Headers.ERROR_CLASS] == error.kind
        assert headers[Headers.QUEUE] == "tidings.email.high"


def test_an_unread_message_of_ours_says_whose_attempt_it_was() -> None:
    headers = dead_letter_headers.headers_of_unread(
        Message(b"{", "email.high", {Headers.EPOCH: 7}),
        MalformedNotification("body: no"),
        "w",
        "tidings.email.high",
    )
    assert headers[Headers.EPOCH] == 7
    assert headers[Headers.ERROR_MESSAGE] == "body: no"


def test_the_headers_of_an_unread_message_go_along_as_text() -> None:
    wild = {"tenant": "acme", "x-death": [{"queue": "q"}], "raw": b"\xff", "long": "é" * 30_000}
    many = {f"h{number}": "x" * 3_000 for number in range(100)}
    for headers in (wild, many, {**wild, **many}):
        message = Message(b"{", "email.high", headers)
        written = dead_letter_headers.headers_of_unread(
            message, MalformedNotification("body: no"), "w", "tidings.email.high"
        )
        assert set(written).isdisjoint(headers)
        assert len(json.dumps(written, ensure_ascii=False).encode()) < 100_000
        original = dead_letter_headers.with_originals(written)[Headers.ORIGINAL_HEADERS]
        assert isinstance(original, dict)
        assert set(original) - {"…"} <= set(headers)
    written = dead_letter_headers.headers_of_unread(
        Message(b"{", "email.high", wild),
        MalformedNotification("body: no"),
        "w",
        "tidings.email.high",
    )
    original = dead_letter_headers.with_originals(written)[Headers.ORIGINAL_HEADERS]
    assert isinstance(original, dict)
    assert (original["tenant"], original["x-death"]) == ("acme", [{"queue": "q"}])


def test_headers_that_only_look_like_packed_ones_stay_as_they_are() -> None:
    for forged in ("{", 7, None):
        headers = {Headers.ORIGINAL_HEADERS: forged}
        assert dead_letter_headers.with_originals(headers) == headers


def test_headers_of_any_kind_become_json() -> None:
    deep: object = "bottom"
    for _ in range(DEEPEST + 5):
        deep = [deep]
    odd = {
        "bytes": b"\xff",
        "array": bytearray(b"\x00"),
        "nan": float("nan"),
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "price": Decimal("1.10"),
        "deep": deep,
        "many": list(range(MOST_ITEMS * 2)),
        "long": "x" * LONGEST_TEXT * 2,
        "nul\x00": "\ud800\x00",
        "none": None,
        "yes": True,
        "table": {"a": {"b": 1}},
    }
    stored = storable(odd)
    text = json.dumps(stored, allow_nan=False)
    assert "\\u0000" not in text
    assert "\\ud800" not in text
    assert stored["bytes"] == {"base64": "/w=="}
    assert stored["when"] == "2026-01-01T00:00:00+00:00"
    assert stored["table"] == {"a": {"b": 1}}
    assert len(text) < 50_000


def test_too_many_headers_are_cut_and_counted() -> None:
    stored = storable({f"h{number}": number for number in range(MOST_ITEMS + 5)})
    assert stored["…"] == "5 more"


def test_a_header_that_ought_to_be_text_is_empty_where_it_is_none() -> None:
    assert text_of("é\x00", 10) == "é\N{REPLACEMENT CHARACTER}"
    assert text_of(b"\xe9", 10) == "\N{REPLACEMENT CHARACTER}"
    assert text_of(7, 10) == ""
    assert text_of(None, 10) == ""
    assert len(text_of("x" * 99, 10)) == 10
