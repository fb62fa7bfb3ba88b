"""`parse`: what is accepted, and what each refusal says."""

import json
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any
from uuid import UUID

import pytest

from tidings_events import EmailNotification, InvalidNotification, Priority, parse

ID = "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"
EMAIL: dict[str, Any] = {
    "id": ID,
    "channel": "email",
    "recipient": "anna@example.org",
    "subject": "Hello",
    "body": "Hello, Anna",
}
WEBHOOK: dict[str, Any] = {
    "id": ID,
    "channel": "webhook",
    "recipient": "https://example.org/hooks",
    "event_type": "invoice.paid",
    "payload": {"invoice": 1},
}


def problems(body: bytes | dict[str, Any]) -> tuple[str, ...]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidNotification) as caught:
        parse(raw)
    return caught.value.problems


def email(**fields: Any) -> dict[str, Any]:
    return {**EMAIL, **fields}


def test_a_minimal_email_gets_the_defaults() -> None:
    notification = parse(json.dumps(EMAIL).encode())
    assert isinstance(notification, EmailNotification)
    assert notification.id == UUID(ID)
    assert notification.priority is Priority.NORMAL
    assert notification.category == "transactional"
    assert (notification.cc, notification.data, notification.scheduled_at) == ((), {}, None)


def test_every_problem_is_told_with_its_field_and_a_remedy() -> None:
    found = problems(
        email(
            recipient="anna",
            priority="asap",
            max_retries="3",
            locale="pt_BR",
            entity={"type": "Big Order"},
            cc=["bob@example.org", "bob at example"],
        )
    )
    told = "\n".join(found)
    assert 'recipient: "anna" is not an email address' in told
    assert "priority: \"asap\" is not allowed; use 'low', 'normal', 'high' or 'urgent'" in told
    assert 'max_retries: "3" must be a whole number' in told
    assert 'locale: "pt_BR" is not of the right form; write it like pt-BR' in told
    assert 'entity.type: "Big Order" is not of the right form' in told
    assert "entity.id: is missing" in told
    assert 'cc[1]: "bob at example" is not an email address' in told
    assert len(found) == 7


@pytest.mark.parametrize("fields", [{}, {"channel": None}])
def test_a_missing_channel_lists_the_channels(fields: dict[str, Any]) -> None:
    assert problems(fields) == (
        "channel: is missing; use one of email, sms, whatsapp, webhook",
        "id: is missing; give each notification a UUID of its own",
    )


def test_a_missing_id_is_told_together_with_whatever_else_is_wrong() -> None:
    assert [said.partition(":")[0] for said in problems({"channel": "email"})] == [
        "recipient",
        "id",
    ]


@pytest.mark.parametrize("channel", ["fax", "Email", ""])
def test_an_unknown_channel_lists_the_channels(channel: str) -> None:
    [problem] = problems(email(channel=channel))
    assert problem.startswith(f"channel: {json.dumps(channel)} is not a known channel; use one of")


@pytest.mark.parametrize("channel", [["email"], {"a": 1}, 5, True])
def test_a_channel_that_is_not_text_is_refused(channel: Any) -> None:
    [problem] = problems(email(channel=channel))
    assert problem.startswith("channel: must be a string; use one of")


def test_a_label_named_like_a_field_is_still_a_label() -> None:
    assert problems(email(metadata={"locale": ["pt"]})) == (
        "metadata.locale: must be a string, a number, true or false; nest nothing in it",
    )


def test_the_id_must_be_in_the_bytes() -> None:
    body = {name: value for name, value in EMAIL.items() if name != "id"}
    assert problems(body) == ("id: is missing; give each notification a UUID of its own",)


def test_an_unknown_field_is_named_with_what_was_probably_meant() -> None:
    assert problems(email(recipent="x", zzz=1)) == (
        "recipent: is not a field of EmailNotification; did you mean `recipient`?",
        "zzz: is not a field of EmailNotification; remove it",
    )


def test_an_unknown_field_of_a_part_is_named_too() -> None:
    assert problems(email(entity={"type": "order", "id": "1", "idd": "2"})) == (
        "entity.idd: is not a field of Entity; did you mean `id`?",
    )


def test_of_a_key_given_twice_the_last_counts() -> None:
    body = json.dumps(EMAIL)[:-1] + ', "subject": "Second"}'
    notification = parse(body.encode())
    assert isinstance(notification, EmailNotification)
    assert notification.subject == "Second"


def test_a_time_that_passed_while_waiting_is_accepted() -> None:
    then = datetime.now(UTC) - timedelta(days=3)
    notification = parse(
        json.dumps(
            email(scheduled_at=then.isoformat(), expires_at=(then + timedelta(hours=1)).isoformat())
        ).encode()
    )
    assert notification.scheduled_at == then


def test_a_time_more_than_a_year_ahead_is_refused() -> None:
    late = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    assert problems(email(scheduled_at=late)) == (
        "scheduled_at: is more than a year ahead; schedule it nearer the time",
    )
    assert problems(email(expires_at=late)) == (
        "expires_at: is more than a year ahead; leave it out if it never expires",
    )


def test_expiry_must_come_after_the_schedule() -> None:
    at = "2026-01-05T10:00:00+02:00"
    assert problems(email(scheduled_at=at, expires_at="2026-01-05T08:00:00Z")) == (
        "expires_at: is not after `scheduled_at`; it must be later",
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-12-24T18:00:00", "has no offset from UTC; add one, e.g. Z or +01:00"),
        ("2026-12-24", "is not a date and time"),
        (1798135200, "is not a date and time"),
        ("1798135200", "is not a date and time"),
        ("tomorrow", "is not a date and time"),
        ("2026-02-30T18:00:00Z", "day value is outside expected range"),
    ],
)
def test_a_time_is_written_in_full(value: Any, said: str) -> None:
    [problem] = problems(email(scheduled_at=value))
    assert problem.startswith(f"scheduled_at: {json.dumps(value)} ")
    assert said in problem


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "1"},
        {"version": 2},
        {"max_retries": 101},
        {"max_retries": -1},
        {"max_retries": 1.5},
        {"max_retries": True},
        {"id": "not-a-uuid"},
        {"user_id": 5},
        {"user_id": ""},
        {"template": "../../etc/passwd"},
        {"template": "a/../b"},
        {"template": "/a"},
        {"locale": "../en"},
        {"category": "OTP codes"},
        {"cc": "bob@example.org"},
        {"cc": ["bob@example.org"] * 51},
        {"data": []},
        {"metadata": {"a": None}},
        {"metadata": {"": 1}},
        {"metadata": {str(number): 1 for number in range(51)}},
        {"metadata": {"a": "x" * 1025}},
        {"idempotency_key": "x" * 256},
        {"subject": "x" * 999},
    ],
    ids=lambda fields: str(fields)[:30],
)
def test_a_value_out_of_bounds_is_refused_by_name(fields: dict[str, Any]) -> None:
    [name] = fields
    found = problems(email(**fields))
    assert all(problem.startswith(name) for problem in found)


def test_reading_an_ordinary_email_takes_microseconds() -> None:
    body = json.dumps(email(data={"name": "Anna", "lines": [{"sku": "a"}] * 5})).encode()
    parse(body)
    started = process_time()
    for _ in range(1000):
        parse(body)
    # 20 µs each where this was written; the limit allows for the slowest of machines.
    assert process_time() - started < 0.5
