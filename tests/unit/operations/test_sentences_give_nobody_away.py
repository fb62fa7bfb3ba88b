"""A sentence about a message that quotes whom it is for shows them masked, however the quotation ends."""

import json
from uuid import uuid4

import pytest

from tidings.operations.masks import discreet
from tidings_events import InvalidNotification, parse


def problems(**fields: object) -> str:
    """What the contract says of such an email, as a dead letter's failure tells it."""
    email = {"id": str(uuid4()), "channel": "email", "subject": "Hello", "body": "Hello"}
    with pytest.raises(InvalidNotification) as invalid:
        parse(json.dumps({**email, **fields}).encode())
    return "; ".join(invalid.value.problems)


LONG = "long" * 40


@pytest.mark.parametrize(
    "first",
    [
        "jane@@example",
        f"jane.{LONG}",
        "jane." + "l" * 72 + "\\" * 9,
        "jane." + '"' * 100,
        "jane." + "\\" * 100,
        "jane … of example",
        "jane\t@",
    ],
    ids=["short", "cut", "cut behind a backslash", "quotes", "backslashes", "an ellipsis", "a tab"],
)
def test_every_one_who_is_quoted_is_masked(first: str) -> None:
    text = problems(recipient=first, cc=["bob@@example"], reply_to="carol@@example")
    assert "jane" in text
    assert "carol" in text
    masked = discreet(text)
    assert not any(name in masked for name in ("jane", "bob", "carol", "long", "lll"))
    assert masked.count("is not an email address") == text.count("is not an email address")


def test_a_telephone_number_that_is_written_as_a_number_is_masked() -> None:
    text = problems(recipient=14155550123)
    assert "14155550123" in text
    assert discreet(text) == text.replace("14155550123", '"1…"')


def test_what_quotes_nobody_stays_as_it_is() -> None:
    text = 'locale: "de de" is not of the right form; cc: 3 were refused'
    assert discreet(text) == text
