"""`parse`: what is accepted, and what each refusal says."""

import json
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any
from uuid import UUID

import pytest

from tidings_events import MAX_BODY_BYTES, EmailNotification, InvalidNotification, Priority, parse

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


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "notification: is empty; write a JSON object, {…}"),
        (b"{", "notification: is not valid JSON (EOF while parsing an object"),
        (b"[]", "notification: is not an object; write a JSON object, {…}"),
        (b"null", "notification: is not an object"),
        (b'"email"', "notification: is not an object"),
        (b'{"subject":"caf\xe9"}', "notification: is not UTF-8 from byte 15 on"),
        ('{"channel":"email"}'.encode("utf-16"), "notification: is not UTF-8 from byte 0 on"),
        (b"\xef\xbb\xbf{}", "notification: starts with a byte order mark"),
        (b"[" * 100_000, "notification: is not valid JSON (recursion limit exceeded"),
        (b'{"a":' * 100_000, "notification: is not valid JSON (recursion limit exceeded"),
        (b'{"a":"\\ud800"}', "notification: is not valid JSON"),
        (b'{"a":' + b"9" * 10_000 + b"}", "notification: is not valid JSON (number out of range"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_a_json_object_is_refused(body: bytes, said: str) -> None:
    [problem] = problems(body)
    assert problem.startswith(said)


def test_a_body_over_the_limit_is_refused_unread() -> None:
    [problem] = problems(b" " * (MAX_BODY_BYTES + 1))
    assert problem.startswith("notification: is 10,485,761 bytes; at most 10,485,760 are allowed")


@pytest.mark.parametrize("fields", [{}, {"channel": None}])
def test_a_missing_channel_lists_the_channels(fields: dict[str, Any]) -> None:
    assert problems(fields) == ("channel: is missing; use one of email, sms, whatsapp, webhook",)


@pytest.mark.parametrize("channel", ["fax", "Email", ["email"], {"a": 1}, 5])
def test_an_unknown_channel_lists_the_channels(channel: Any) -> None:
    [problem] = problems(email(channel=channel))
    assert problem.startswith(f"channel: {json.dumps(channel)} is not a known channel; use one of")


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


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"subject": "secret\nBcc: eve@example.org"}, "secret"),
        ({"body": ["secret"]}, "secret"),
        ({"html": "secret\0"}, "secret"),
        ({"data": {"password": "secret\0"}}, "secret"),
        ({"headers": {"From": "secret"}}, "secret"),
        ({"metadata": {"a": ["secret"]}}, "secret"),
        ({"attachments": [{"filename": "a", "content": "secret!"}]}, "secret!"),
    ],
)
def test_peoples_own_words_are_never_repeated(fields: dict[str, Any], value: str) -> None:
    found = problems(email(**fields))
    assert found
    assert value not in " ".join(found)


@pytest.mark.parametrize(
    "url", ["https://user:secret@example.org/", "ftp://example.org/secret", "https:/secret"]
)
def test_a_webhooks_url_is_never_repeated(url: str) -> None:
    [problem] = problems({**WEBHOOK, "recipient": url})
    assert problem.startswith("recipient: ")
    assert "secret" not in problem


def test_a_long_value_is_cut() -> None:
    [problem] = problems(email(category="x y" * 40))
    assert len(problem) < 160
    assert "…" in problem


def test_control_characters_in_a_value_are_shown_not_sent_to_the_terminal() -> None:
    [problem] = problems(email(category="\x1b[2J\u202e"))
    assert problem.isprintable()


def test_a_hundred_problems_are_told_as_twenty_five() -> None:
    found = problems(email(**{f"unknown{number}": 1 for number in range(100)}))
    assert len(found) == 26
    assert found[-1] == "notification: has 75 more problems; mend these first"


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"a": {"b": ["x\0"]}}},
        {"data": {"a\0": 1}},
        {"body": "a\0b"},
        {"user_id": "a\0"},
        {"metadata": {"a": "\0"}},
        {"metadata": {"a\0": "x"}},
        {"idempotency_key": "\0"},
        {"headers": {"X-A": "\0"}},
        {"recipient": "a\0@example.org"},
    ],
)
def test_nul_is_refused_wherever_it_hides(fields: dict[str, Any]) -> None:
    assert problems(email(**fields))


def test_a_backslash_before_u0000_is_not_a_nul() -> None:
    notification = parse(json.dumps(email(body=r"C:\u0000")).encode())
    assert isinstance(notification, EmailNotification)
    assert notification.body == r"C:\u0000"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    body = json.dumps(email(data={"a": 1})).replace('{"a": 1}', f'{{"a": {number}}}')
    [problem] = problems(body.encode())
    assert problem.startswith("data: holds a number that JSON cannot")


def test_data_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    [problem] = problems(email(data={"a": deep}))
    assert problem == "data: is nested more than 64 deep; flatten it"


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


CROWDS: list[dict[str, Any]] = [
    {"data": {"a": [1] * 3_000_000}},
    {"data": {f"k{number}": 1 for number in range(400_000)}},
    {f"k{number}": 1 for number in range(400_000)},
    {"entity": {f"k{number}": 1 for number in range(400_000)}},
    {"attachments": [{f"k{number}": 1 for number in range(400_000)}]},
    {"attachments": [{"filename": "/"}] * 300_000},
    {"cc": ["nobody"] * 800_000},
    {"headers": {f"X-{number}": "1" for number in range(400_000)}},
    {"metadata": {f"k{number}": "1" for number in range(400_000)}},
    {"recipient": "a." * 4_000_000},
    {"unknown" * 1_000_000: 1},
]


@pytest.mark.parametrize("fields", CROWDS, ids=lambda fields: str(next(iter(fields)))[:12])
@pytest.mark.timeout(20)
def test_a_crowded_body_is_refused_before_it_holds_up_its_neighbours(
    fields: dict[str, Any],
) -> None:
    body = json.dumps(email(**fields)).encode()
    started = process_time()
    found = problems(body)
    # Told one by one, the worst of these took two minutes. Seconds are for a slow, busy machine.
    assert process_time() - started < 5
    assert len(" ".join(found)) < 5000
