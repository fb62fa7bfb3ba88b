"""`parse` reads large bodies in another way than small ones, to the same end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.heavy_bodies import HEAVY
from tests.unit.events.test_reading_hostile_bytes import EMAIL, WEBHOOK

from tidings_events import InvalidNotification, parse
from tidings_events.weight import HARMLESS, too_heavy

ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 3.0, 1.5, 10**30, "", "x", "1", "null", "urgent"),
    *("2026-12-24T18:00:00+01:00", "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d", "anna@example.org"),
    *([], [1], ["anna@example.org"], {}, {"a": 1}, {"type": "order", "id": "7"}, {"a": [1]}),
    *([{"filename": "a", "content": "aGk="}], [{"filename": "a", "content": 1}], {"a": "\0"}),
]
WHATSAPP: dict[str, Any] = {
    "id": EMAIL["id"],
    "channel": "whatsapp",
    "recipient": "+14155550100",
    "content_sid": "HX" + "0" * 32,
}
FIELDS = [
    "id",
    "version",
    "channel",
    "recipient",
    "priority",
    "category",
    "user_id",
    "entity",
    "locale",
    "data",
    "metadata",
    "idempotency_key",
    "max_retries",
    "scheduled_at",
    "expires_at",
    "template",
    "cc",
    "bcc",
    "headers",
    "attachments",
    "subject",
    "html",
    "body",
    "reply_to",
    "from_address",
    "event_type",
    "payload",
    "content_sid",
    "content_variables",
    "sender",
    "unknown",
]


def read(body: bytes) -> object:
    """What it says, or what is wrong with it."""
    try:
        return parse(body)
    except InvalidNotification as invalid:
        return invalid.problems


def large(body: bytes) -> bytes:
    """The same document, as a large one."""
    return body + b" " * HARMLESS


@pytest.mark.parametrize(
    "whole", [EMAIL, WEBHOOK, WHATSAPP], ids=lambda notification: notification["channel"]
)
@pytest.mark.parametrize("field", FIELDS)
def test_a_large_body_says_what_the_same_small_one_says(whole: dict[str, Any], field: str) -> None:
    for value in ODD:
        body = json.dumps({**whole, field: value}).encode()
        assert read(large(body)) == read(body), value
    without = {name: value for name, value in whole.items() if name != field}
    assert read(large(json.dumps(without).encode())) == read(json.dumps(without).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        b'{"a":NaN}',
        b'{"channel":"email","channel":"sms"}',
        b"{",
        b'{"a":"\\ud800"}',
        b'{"subject":"caf\xe9"}',
        b"\xef\xbb\xbf{}",
        b'{"channel":["email"]}',
    ],
    ids=repr,
)
def test_a_large_body_that_is_no_notification_is_refused_like_a_small_one(body: bytes) -> None:
    small, big = read(body), read(large(body))
    assert isinstance(small, tuple)
    assert isinstance(big, tuple)
    assert [problem.partition(" at line")[0] for problem in big] == [
        problem.partition(" at line")[0] for problem in small
    ]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_values, st.integers(0, 40))
def test_a_value_of_few_parts_is_never_too_heavy(value: Any, padding: int) -> None:
    """Whatever its texts look like: they are no structure."""
    for ensure_ascii in (True, False):
        text = json.dumps({"x" * padding: value, "y": '{[,":' * 20_000}, ensure_ascii=ensure_ascii)
        assert too_heavy(text.encode("utf-8", "surrogatepass")) is None


@given(st.text(alphabet='"\\,[{a', max_size=50), st.integers(0, 100))
def test_values_are_counted_wherever_a_text_before_them_ends(text: str, padding: int) -> None:
    before = "x" * (256 * 1024 - 30 - padding)  # its window ends somewhere in what follows
    for count, heavy in ((54_000, False), (56_000, True)):
        body = json.dumps([before, text, *[0] * count]).encode()
        assert (too_heavy(body) is not None) is heavy


def test_crowds_are_told_of_by_their_numbers() -> None:
    labels = large(HEAVY["labels of a small body"]())
    answer = read(labels)
    assert isinstance(answer, tuple)
    [problem] = answer
    assert problem.startswith("metadata: is ")
    assert problem.endswith(" items long; at most 50 are allowed")


def test_html_as_long_as_is_allowed_is_read_whatever_it_is_written_in() -> None:
    for character in ("x", "é", "語", "😀"):
        whole = {**EMAIL, "html": f"{character * 1_999_000}😀", "body": "x" * 999_000 + "😀"}
        body = json.dumps(whole, ensure_ascii=False).encode()
        if len(body) <= 10 * 1024 * 1024:
            assert not isinstance(read(body), tuple)
