"""What history says of an edit: the names of fields, never what they hold."""

import pytest

from tidings.ledger.dead_letters.edit_notes import MOST, edited_fields


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        (b'{"recipient": "a@x.org"}', b'{"recipient": "b@x.org"}', "recipient"),
        (b'{"a": 1, "b": 2}', b'{"b": 3, "c": 4}', "a, b, c"),
        (
            b'{"entity": {"type": "o", "id": "1"}}',
            b'{"entity": {"type": "o", "id": "2"}}',
            "entity.id",
        ),
        (b'{"max_retries": true}', b'{"max_retries": 1}', "max_retries"),
        (b'{"a": 1}', b'{ "a":1 }', "only how it is written"),
        (b"{", b'{"a": 1}', "all of it"),
        (b"[" * 100_000, b'{"a": 1}', "all of it"),
        (b"\xff", b'{"a": 1}', "all of it"),
        (b'{"jane@example.com": 1}', b"{}", "1 of its fields"),
        (b'{"\\u0000": 1, "a": 1, "\\ud800": 1}', b"{}", "a, 2 more"),
        (b'{"a": null}', b"{}", "a"),
    ],
)
def test_the_fields_that_differ_are_named(before: bytes, after: bytes, fields: str) -> None:
    assert edited_fields(before, after) == fields


def test_of_many_fields_the_first_are_named() -> None:
    body = "{" + ", ".join(f'"f{place:02}": 1' for place in range(MOST + 3)) + "}"
    assert edited_fields(body.encode(), b"{}").endswith(f"f{MOST - 1:02}, 3 more")
