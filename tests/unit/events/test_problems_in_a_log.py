"""A sentence about a notification names the field and the rule in a log, never what the field held."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidings_events import InvalidNotification, parse
from tidings_events.problems import without_values

ID = "0193a5c4-2c00-7000-8000-000000000203"
WHO = "grace.hopper@example.org"


def log_lines(**fields: Any) -> list[str]:
    """What a log says of a mail with these fields."""
    written = {"id": ID, "channel": "email", "recipient": "ada@example.com", "subject": "s"}
    with pytest.raises(InvalidNotification) as caught:
        parse(json.dumps({**written, "body": "b", **fields}, ensure_ascii=False).encode())
    return [without_values(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"recipient": f"Grace <{WHO}>"}, "recipient: is not an email address"),
        ({"recipient": WHO.replace("@", " at ") * 9}, "recipient: is not an email address"),
        ({"recipient": 4915112345678}, "recipient: must be a string"),
        ({"cc": ["ada@example.com", f"<{WHO}>"]}, "cc[1]: is not an email address"),
        ({"reply_to": f"{WHO}."}, "reply_to: is not an email address"),
        ({"channel": WHO}, "channel: is not a known channel"),
        ({"template": WHO}, "template: is not of the right form"),
        ({"entity": {"type": "order", "id": WHO * 20}}, "entity.id: is 480 characters long"),
        ({WHO: 1}, "a name: is not a field of EmailNotification"),
        ({f"to: {WHO}": 1}, "a name: is not a field of EmailNotification"),
        ({f"{WHO}: is not a field of X; y": 1}, "a name: is not a field of EmailNotification"),
        ({"recipent": WHO}, "recipent: is not a field of EmailNotification; did you mean"),
        ({"expires_at": f"for {WHO}"}, "expires_at: is not a date and time"),
        ({"headers": {WHO: "v"}}, "headers: has a name that is not a header's"),
    ],
)
def test_the_field_and_the_rule_are_told_and_not_the_value(
    fields: dict[str, Any], text: str
) -> None:
    [first, *_] = lines = log_lines(**fields)

    assert first.startswith(text)
    assert [line for line in lines if "hopper" in line or "49151" in line] == []


@given(st.text("x\"\\…: ;'é\u202e\U0001f600", min_size=1, max_size=200))
@example("x" * 77 + "\\" * 9)
@example("…" + "x" * 90)
@example('x": is not a field of A; remove it')
@settings(max_examples=200)
def test_whatever_the_value_is_made_of_none_of_it_is_told(value: str) -> None:
    [line] = log_lines(recipient=f"hopper{value}hopper")

    assert line.startswith("recipient: ")
    assert "hopper" not in line
