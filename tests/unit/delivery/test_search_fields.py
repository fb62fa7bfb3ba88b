"""Whom a message is about that is no notification: as far as its body tells, and no secret of it."""

import json

import pytest

from tidings.delivery.search_fields import read_search_fields


@pytest.mark.parametrize(
    ("recipient", "known"),
    [
        ("https://user:secret@example.com/hook?a=b@c", "https://example.com/hook?a=b@c"),
        ("HTTPS://secret@example.com", "HTTPS://example.com"),
        ("https://a@secret@example.com/", "https://example.com/"),
        ("https://example.com/@jane", "https://example.com/@jane"),
        ("jane@example.com", "jane@example.com"),
        (14155552671, "14155552671"),
    ],
)
def test_the_login_in_a_url_is_no_part_of_whom_it_is_for(recipient: object, known: str) -> None:
    body = json.dumps({"channel": "webhook", "recipient": recipient, "unknown": 1}).encode()
    assert read_search_fields(body).recipient == known


@pytest.mark.parametrize(
    ("value", "test"),
    [(True, True), ("yes", True), ([], True), ({"of": 1}, True), (False, False), (None, False)],
)
def test_whatever_stands_in_it_for_a_test_is_read(value: object, test: bool) -> None:
    assert read_search_fields(json.dumps({"test": value}).encode()).test is test
