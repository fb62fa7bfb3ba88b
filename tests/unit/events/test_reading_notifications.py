"""`parse`: what is accepted, and what each refusal says."""

import json
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any
from uuid import UUID

import pytest

from tidings_events import (
    CHANNELS,
    EmailNotification,
    InvalidNotification,
    Priority,
    WebhookNotification,
    parse,
)

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
    assert notification.tenant == "default"
    assert (notification.cc, notification.data, notification.scheduled_at) == ((), {}, None)


def test_every_problem_is_told_with_its_field_and_a_remedy() -> None:
    found = problems(
        email(
            recipient="anna",
            priority="asap",
            max_retries="3",
            locale="Portuguese",
            tenant="Acme Inc.",
            entity={"type": "Big Order"},
            cc=["bob@example.org", "bob at example"],
        )
    )
    text = "\n".join(found)
    assert 'recipient: "anna" is not an email address' in text
    assert "priority: \"asap\" is not allowed; use 'low', 'normal', 'high' or 'urgent'" in text
    assert 'max_retries: "3" must be a whole number' in text
    assert 'locale: "Portuguese" is not of the right form; write it like pt-BR' in text
    assert 'tenant: "Acme Inc." is not of the right form; write it like acme' in text
    assert 'entity.type: "Big Order" is not of the right form' in text
    assert "entity.id: is missing" in text
    assert 'cc[1]: "bob at example" is not an email address' in text
    assert len(found) == 8


@pytest.mark.parametrize("fields", [{}, {"channel": None}])
def test_a_missing_channel_lists_the_channels(fields: dict[str, Any]) -> None:
    assert problems(fields) == (
        f"channel: is missing; use one of {', '.join(CHANNELS)}",
        "id: is missing; give each notification a UUID of its own",
    )


def test_a_missing_id_is_told_together_with_whatever_else_is_wrong() -> None:
    assert [problem.partition(":")[0] for problem in problems({"channel": "email"})] == [
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


@pytest.mark.parametrize(
    "locale", ["pt_br", "pt_BR", "en-u-ca-gregory", "de-DE-u-co-phonebk", "zh_Hant_TW"]
)
def test_a_locale_is_read_as_many_write_it(locale: str) -> None:
    assert parse(json.dumps(email(locale=locale)).encode()).locale == locale


NULLABLE = (
    *("version", "priority", "category", "tenant", "test", "user_id", "entity", "locale", "data"),
    "metadata",
    *("idempotency_key", "max_retries", "scheduled_at", "expires_at", "template", "from_address"),
    *("reply_to", "cc", "bcc", "html", "headers", "attachments"),
)


@pytest.mark.parametrize("field", NULLABLE)
def test_a_field_that_is_null_is_as_if_it_were_not_there(field: str) -> None:
    with_null = parse(json.dumps(email(**{field: None})).encode())

    assert with_null == parse(json.dumps(EMAIL).encode())
    assert "priority" not in with_null.model_fields_set  # else it would contradict the routing key


def test_every_field_that_may_be_left_out_may_be_null() -> None:
    optional = {
        name for name, field in EmailNotification.model_fields.items() if not field.is_required()
    }

    assert optional - {"id", "channel", "subject", "body"} == set(NULLABLE)


def test_an_unknown_field_is_named_even_where_it_is_null() -> None:
    assert problems(email(recipent=None, priority=None)) == (
        "recipent: is not a field of EmailNotification; did you mean `recipient`?",
    )


def test_a_field_that_is_needed_is_missing_where_it_is_null() -> None:
    assert problems(email(recipient=None, body=None)) == (
        "recipient: is missing; write it like anna@example.org",
    )
    assert problems(email(id=None)) == ("id: is missing; give each notification a UUID of its own",)
    assert problems({**WEBHOOK, "payload": None})[0].startswith("payload: is missing")


def test_a_null_inside_a_payload_stays() -> None:
    notification = parse(json.dumps({**WEBHOOK, "payload": {"a": None}, "user_id": None}).encode())
    assert isinstance(notification, WebhookNotification)
    assert notification.payload == {"a": None}


def test_numbers_stay_what_they_are_where_a_null_is_left_out() -> None:
    body = b'{"id":"%s","channel":"webhook","recipient":"https://e.org","event_type":"a","user_id":null,'
    notification = parse(
        body % ID.encode() + b'"payload":{"a":1.50,"b":123456789012345678901234567890}}'
    )
    assert isinstance(notification, WebhookNotification)
    assert notification.payload == {"a": 1.5, "b": 123456789012345678901234567890}
    [problem] = problems(body % ID.encode() + b'"payload":{"a":1e999}}')
    assert problem.startswith("payload: holds a number that JSON cannot")


@pytest.mark.parametrize("name", ["content_type", "content_id"])
def test_a_part_of_an_attachment_may_be_null(name: str) -> None:
    attachment = {"filename": "a", "content": "aGk="}
    with_null = parse(json.dumps(email(attachments=[{**attachment, name: None}])).encode())

    assert with_null == parse(json.dumps(email(attachments=[attachment])).encode())


@pytest.mark.parametrize(("written", "read"), [(3, 3), (3.0, 3), (0.0, 0), (1e2, 100)])
def test_a_whole_number_may_have_a_decimal_point(written: float, read: int) -> None:
    notification = parse(json.dumps(email(max_retries=written, version=1.0)).encode())
    assert (notification.max_retries, notification.version) == (read, 1)
    assert isinstance(notification.max_retries, int)


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


def test_a_time_within_a_year_of_its_making_is_taken_by_a_reader_whose_clock_is_years_behind() -> (
    None
):
    made = datetime.now(UTC) + timedelta(days=5 * 366)  # as good as a reader five years behind
    id = UUID(int=int(made.timestamp() * 1000) << 80 | 7 << 76 | 0b10 << 62)
    times = {"scheduled_at": made + timedelta(days=300), "expires_at": made + timedelta(days=600)}
    written = email(id=str(id), **{name: at.isoformat() for name, at in times.items()})
    assert parse(json.dumps(written).encode()).scheduled_at == times["scheduled_at"]
    late = (made + timedelta(days=400)).isoformat()
    assert "is more than a year ahead" in problems({**written, "scheduled_at": late})[0]


def test_expiry_must_come_after_the_schedule() -> None:
    at = "2026-01-05T10:00:00+02:00"
    assert problems(email(scheduled_at=at, expires_at="2026-01-05T08:00:00Z")) == (
        "expires_at: is not after `scheduled_at`; it must be later",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2026-12-24T18:00:00", "has no offset from UTC; add one, e.g. Z or +01:00"),
        ("2026-12-24", "is not a date and time"),
        (1798135200, "is not a date and time"),
        ("1798135200", "is not a date and time"),
        ("tomorrow", "is not a date and time"),
        ("2026-02-30T18:00:00Z", "day value is outside expected range"),
    ],
)
def test_a_time_is_written_in_full(value: Any, text: str) -> None:
    [problem] = problems(email(scheduled_at=value))
    assert problem.startswith(f"scheduled_at: {json.dumps(value)} ")
    assert text in problem


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


STEERING = [
    "\n",
    "\r",
    "\t",
    "\x1b[2K",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200f",
    "\0",
]


@pytest.mark.parametrize("sign", STEERING, ids=ascii)
@pytest.mark.parametrize("field", ["user_id", "idempotency_key", "entity.id", "metadata.key"])
def test_no_control_character_comes_in_by_an_identifier(field: str, sign: str) -> None:
    """It would forge a line in a terminal, or a log, that shows the identifier."""
    value = f"4711{sign}State SENT"
    fields: dict[str, Any] = {
        "user_id": {"user_id": value},
        "idempotency_key": {"idempotency_key": value},
        "entity.id": {"entity": {"type": "order", "id": value}},
        "metadata.key": {"metadata": {value: "x"}},
    }[field]
    (problem,) = problems(email(**fields))
    assert f"contains the control character U+{ord(sign[0]):04X}; remove it" in problem
    assert problem.isprintable()


@pytest.mark.parametrize("honest", ["user 4711", "Zoë/日本", "👩\u200d🚀", "a\u00a0b", "ключ-7"])
def test_an_identifier_may_hold_any_character_that_can_be_seen(honest: str) -> None:
    body = email(user_id=honest, idempotency_key=honest, entity={"type": "order", "id": honest})
    assert parse(json.dumps(body).encode()).user_id == honest


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": 1234}, f"id: 1234 is not a UUID; write it like {ID}"),
        ({"id": []}, f"id: is not a UUID; write it like {ID}"),
        ({"id": "nope"}, f'id: "nope" is not a UUID; write it like {ID}'),
        ({"max_retries": 101}, "max_retries: 101 is too large; 100 is the most"),
        ({"max_retries": -1}, "max_retries: -1 is too small; 0 is the least"),
        ({"max_retries": 1.5}, "max_retries: 1.5 must be a whole number"),
        (
            {"scheduled_at": "2026-02-31T00:00:00Z"},
            'scheduled_at: "2026-02-31T00:00:00Z" is not a date and time: day value is outside expected range; '
            "write it like 2026-12-24T18:00:00+01:00",
        ),
    ],
)
def test_what_is_wrong_is_said_in_words_of_ours(fields: dict[str, Any], text: str) -> None:
    assert problems(email(**fields)) == (text,)


VALUES = [
    1234,
    -1,
    1.5,
    1e308,
    10**400,
    True,
    "",
    "x",
    "2026-13-01T00:00:00Z",
    [],
    [[]],
    [7],
    {},
    {"a": [1]},
    {"": 1},
]


@pytest.mark.parametrize("model", [EmailNotification, WebhookNotification])
def test_no_sentence_is_the_library_s(model: type[EmailNotification | WebhookNotification]) -> None:
    whole = EMAIL if model is EmailNotification else WEBHOOK
    for field in model.model_fields:
        for value in VALUES:
            body = json.dumps({**whole, field: value}).encode()
            try:
                parse(body)
            except InvalidNotification as refused:
                text = " ".join(refused.problems)
                assert "nput should" not in text, (field, value, text)
                assert "must be a valid" not in text, (field, value, text)
