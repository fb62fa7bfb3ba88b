"""What producers may write on the outside of a message, and what is read of it."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from pamqp import decode, encode
from pamqp.commands import Basic
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from tidings.broker.wire.lenient_decoding import FURTHEST, decode_leniently


@pytest.fixture(autouse=True)
def tolerant() -> None:
    decode_leniently()


def read_back(**properties: Any) -> Basic.Properties:
    """Properties as they come over the wire."""
    _, _, frame = unmarshal(
        marshal(ContentHeader(body_size=1, properties=Basic.Properties(**properties)), 1)
    )
    assert isinstance(frame, ContentHeader)
    return frame.properties


def table(*fields: bytes) -> bytes:
    """A table as it is written on the wire."""
    content = b"".join(fields)
    return struct.pack(">I", len(content)) + content


def headers_of(*fields: bytes) -> dict[str, Any]:
    """What is read of headers with these fields, the whole of them consumed."""
    wire = table(*fields)
    used, found = decode.METHODS["table"](wire + b"more")
    assert used == len(wire)
    assert isinstance(found, dict)
    return found


def nested(depth: int) -> bytes:
    value = b""
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    return b"\x01x" + value


def test_what_a_well_behaved_producer_writes_is_read_as_before() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    headers = {"größe": 1, "list": ["a", {"b": True}], "then": moment, "nothing": None}
    properties = read_back(content_type="application/json", headers=headers, timestamp=moment)
    assert properties.headers == headers
    assert properties.content_type == "application/json"
    assert properties.timestamp == moment


def test_a_name_in_another_encoding_is_read_with_what_is_unknown_replaced() -> None:
    found = headers_of(b"\x04caf\xe9" + encode.by_type("x", "longstr").join([b"S", b""]))
    assert found == {"caf\N{REPLACEMENT CHARACTER}": "x"}


@pytest.mark.parametrize("count", [2**63 - 1, 2**64 - 1, 1_790_000_000_000_000_000])
def test_a_time_that_no_calendar_holds_is_the_furthest(count: int) -> None:
    found = headers_of(b"\x04thenT" + struct.pack(">Q", count), b"\x01nt\x01")
    assert found == {"then": FURTHEST, "n": True}


def test_a_value_in_another_encoding_stays_bytes() -> None:
    assert headers_of(b"\x01xS" + struct.pack(">I", 2) + b"\xff\xfe") == {"x": b"\xff\xfe"}


def test_reasonable_nesting_is_read() -> None:
    assert headers_of(nested(3)) == {"x": [[[]]]}


@pytest.mark.parametrize("depth", [1_000, 20_000])
def test_headers_that_nest_without_end_are_read_as_none(depth: int) -> None:
    assert headers_of(nested(depth), b"\x01nt\x01") == {}


def test_tables_in_tables_without_end_are_none_too() -> None:
    value = b""
    for _ in range(3_000):
        value = b"\x01xF" + table(value)
    assert headers_of(value) == {}


def test_being_tolerant_twice_is_the_same_as_once() -> None:
    decode_leniently()
    assert headers_of(nested(2)) == {"x": [[]]}
