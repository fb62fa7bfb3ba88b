"""Bodies are edited field by field, checked, and compared."""

import json
import re

import pytest

from tidings.cli.hex_dump import hex_dump
from tidings.cli.terminal import printable
from tidings.delivery.errors import InvalidRequest, Refused, TidingsError
from tidings.operations.dead_letters.body import (
    MalformedEdit,
    checked,
    difference,
    readable,
    with_fields,
)
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.masks import veiled

BODY = b'{"id": "x", "recipient": "a@example.com", "entity": {"type": "order"}, "subject": "Hi"}'


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("recipient=b@example.com", ("recipient",), "b@example.com"),
        ("max_retries=3", ("max_retries",), 3),
        ('user_id="42"', ("user_id",), "42"),
        ("expires_at=null", ("expires_at",), None),
        ("entity.id=7A", ("entity", "id"), "7A"),
        ("data.a.b=true", ("data", "a", "b"), True),
        ("subject=a=b", ("subject",), "a=b"),
        ("subject=", ("subject",), ""),
        ('cc=["b@example.com"]', ("cc",), ["b@example.com"]),
    ],
)
def test_a_field_is_set_to_json_or_else_to_text(
    assignment: str, path: tuple[str, ...], value: object
) -> None:
    edited = json.loads(with_fields(BODY, [assignment]))
    for step in path:
        edited = edited[step]
    assert edited == value


@pytest.mark.parametrize("assignment", ["recipient", "=x", "a..b=1", ".a=1", "subject.inner=1"])
def test_an_assignment_that_leads_nowhere_is_refused(assignment: str) -> None:
    with pytest.raises(
        TidingsError, match=re.escape(assignment.partition("=")[0] or assignment)
    ) as refusal:
        with_fields(BODY, [assignment])
    assert "--" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (FieldChange(("recipient",)), "assignments"),
        (FieldChange(("a=1", "a.b=2")), "assignments"),
        (FieldChange(unset=("a..b",)), "unset"),
    ],
)
def test_a_change_that_is_written_wrongly_names_the_field_of_the_request(
    change: FieldChange, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        change.check()
    assert refusal.value.field == field
    assert "--" not in str(refusal.value)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"null", b"[" * 10_000])
def test_fields_of_what_is_no_object_can_t_be_set(body: bytes) -> None:
    with pytest.raises(Refused, match="no JSON object") as refusal:
        with_fields(body, ["a=1"])
    assert "--" not in str(refusal.value)


def test_a_body_that_can_t_be_read_says_every_problem() -> None:
    with pytest.raises(MalformedEdit) as unreadable:
        checked(b'{"channel": "email", "recipent": "x"}')
    assert len(unreadable.value.problems) >= 2


def test_the_difference_is_shown_line_by_line() -> None:
    changed = list(difference(BODY, with_fields(BODY, ["subject=Ho"])))
    assert '-  "subject": "Hi"' in changed
    assert '+  "subject": "Ho"' in changed
    assert list(difference(BODY, b" " + BODY)) == []


def test_what_is_not_utf_8_can_still_be_looked_at() -> None:
    assert readable(b"caf\xe9") == "caf\N{REPLACEMENT CHARACTER}"


def test_a_veiled_body_shows_its_shape_and_gives_nobody_away() -> None:
    body = {
        "id": "0192",
        "channel": "email",
        "recipient": "ada@example.com",
        "cc": ["grace@example.com"],
        "subject": "Your code is 493021",
        "data": {"code": "493021"},
        "entity": {"type": "order", "id": "10042"},
        "attachments": [{"content": "AAAA"}],
        "typo": 493021,
        "max_retries": 3,
    }
    shown = veiled(json.dumps(body).encode())
    assert shown is not None
    for secret in ("ada@", "grace@", "493021", "AAAA"):
        assert secret not in shown
    for shape in ('"id": "10042"', '"subject": "… 19 characters"', '"typo"', '"max_retries": 3'):
        assert shape in shown


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_has_no_veil(body: bytes) -> None:
    assert veiled(body) is None


@pytest.mark.parametrize("body", [b'"ada@example.com"', b'["ada@example.com"]', b"493021"])
def test_json_of_another_shape_is_summed_up(body: bytes) -> None:
    shown = veiled(body)
    assert shown is not None
    assert "ada" not in shown
    assert "493021" not in shown


def test_bytes_are_dumped_sixteen_a_line() -> None:
    dump = hex_dump(bytes(range(40)) + b"A" * 1_000)
    assert dump.splitlines()[1].startswith("00000010  10 11 12")
    assert "528 more bytes" in dump


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[2J\x9bb\nc") == "a\\u001b[2J\\u009bb\nc"


DECIMALS = (
    '{"recipient":"a@example.com","payload":{"total":123456789012345.123456,"n":1E6,"price":1.50,'
    '"tiny":123e-10000000,"huge":1e999,"text":"1.50","list":[-0.0, 2.10]}}'
)


def test_numbers_stay_as_they_were_written() -> None:
    edited = with_fields(
        DECIMALS.encode(), ["recipient=b@example.com", "payload.rate=0.10"]
    ).decode()

    for written in (
        '"total": 123456789012345.123456', '"n": 1E6', '"price": 1.50', '"tiny": 123e-10000000',
        '"huge": 1e999', '"text": "1.50"', '"list": [-0.0, 2.10]', '"rate": 0.10',
    ):  # fmt: skip
        assert written in edited
    assert '"price": 1.50,' in readable(DECIMALS.encode())
    changed = [line for line in difference(DECIMALS.encode(), edited.encode()) if line[0] in "+-"]
    assert not any("price" in line or "total" in line for line in changed)


def test_of_a_long_body_only_the_lines_around_a_change_are_compared() -> None:
    many = [number % 100 for number in range(20_000)]
    before = json.dumps({"subject": "Hi", "data": many, "locale": "de"}).encode()
    after = with_fields(before, ["locale=fr"])
    assert [line for line in difference(before, after) if line[:1] in "+-"] == [
        *("--- open", "+++ edited", '-  "locale": "de"', '+  "locale": "fr"')
    ]
    longer = json.dumps({"subject": "Hi", "data": [*many, 7], "locale": "de"}).encode()
    assert [line for line in difference(before, longer) if line.startswith(("+ ", "- "))] == [
        *("-    99", "+    99,", "+    7")
    ]


def test_what_would_take_minutes_to_compare_is_told_by_field() -> None:
    """20,000 numbers in reverse order took 150 s, in which the process answered nobody."""
    many = [number % 100 for number in range(20_000)]
    before, after = (json.dumps({"data": it}).encode() for it in (many, many[::-1]))
    lines = list(difference(before, after))
    assert [line[:12] for line in lines] == ['-  "data": [', '+  "data": [']
    assert max(map(len, lines)) < 500
