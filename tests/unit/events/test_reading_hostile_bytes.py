"""`parse` on bytes that are broken, crowded or meant to do harm: refused, in time, without an echo."""

import json
from collections.abc import Callable, Mapping
from time import process_time
from typing import Any, Final

import pytest

from tidings_events import MAX_BODY_BYTES, EmailNotification, InvalidNotification, parse

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


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "notification: is empty; write a JSON object, {…}"),
        (b"{", "notification: is not valid JSON (EOF while parsing an object"),
        (b"[]", "notification: is not an object; write a JSON object, {…}"),
        (b"null", "notification: is not an object"),
        (b'"email"', "notification: is not an object"),
        (b'{"subject":"caf\xe9"}', "notification: is not UTF-8 from byte 15 on"),
        ('{"channel":"email"}'.encode("utf-16"), "notification: is not UTF-8 from byte 0 on"),
        (b"\xef\xbb\xbf{}", "notification: starts with a byte order mark"),
        (b"[" * 10_000, "notification: is not valid JSON (recursion limit exceeded"),
        (b'{"a":' * 10_000, "notification: is not valid JSON (recursion limit exceeded"),
        (b'{"a":"\\ud800"}', "notification: is not valid JSON"),
        (b'{"a":' + b"9" * 10_000 + b"}", "notification: is not valid JSON (number out of range"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_a_json_object_is_refused(body: bytes, text: str) -> None:
    [problem] = problems(body)
    assert problem.startswith(text)


def test_a_body_over_the_limit_is_refused_unread() -> None:
    [problem] = problems(b" " * (MAX_BODY_BYTES + 1))
    assert problem.startswith("notification: is 10,485,761 bytes; at most 10,485,760 are allowed")


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
    assert found[-1] == "notification: has 75 more problems; correct these first"


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


def numbered(prefix: str = "k", value: object = 1) -> dict[str, Any]:
    return {f"{prefix}{number}": value for number in range(400_000)}


CROWDS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "a list in data": lambda: {"data": {"a": [1] * 3_000_000}},
    "data": lambda: {"data": numbered()},
    "fields": numbered,
    "an entity": lambda: {"entity": numbered()},
    "an attachment": lambda: {"attachments": [numbered()]},
    "attachments": lambda: {"attachments": [{"filename": "/"}] * 300_000},
    "cc": lambda: {"cc": ["nobody"] * 800_000},
    "headers": lambda: {"headers": numbered("X-", "1")},
    "metadata": lambda: {"metadata": numbered(value="1")},
    "a recipient": lambda: {"recipient": "a." * 4_000_000},
    "a channel": lambda: {"channel": [1] * 3_000_000},
    "a name": lambda: {"unknown" * 1_000_000: 1},
}
"""Made when they are needed: every process of the tests collects this file."""


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.timeout(20)
def test_a_crowded_body_is_refused_before_it_holds_up_its_neighbours(crowd: str) -> None:
    fields = CROWDS[crowd]()
    body = json.dumps(email(**fields)).encode()
    started = process_time()
    found = problems(body)
    # Told one by one, the worst of these took two minutes. Seconds are for a slow, busy machine.
    assert process_time() - started < 5
    assert len(" ".join(found)) < 5000
