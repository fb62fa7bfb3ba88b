"""Whatever lies in a queue is read: as an attempt, as malformed, or as a dead letter; never as a crash."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.attempts import read_in_its_lane

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.dead_letter_headers import headers_of_unread
from tidings.broker.dead_letters import read_dead_letter
from tidings.broker.wire.frames import Frames
from tidings.broker.wire.lenient_decoding import decode_leniently
from tidings.broker.wire.settlement import Settlement
from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.errors import MalformedNotification
from tidings_events import CHANNELS
from tidings_events.routing import EXCHANGE, Headers

CORPUS = sorted((Path(__file__).parents[2] / "corpus/messages").glob("*.bin"))
PATIENCE = 2.0
"""Seconds of this process's time for one message, on a slow machine."""


@pytest.fixture(autouse=True, scope="module")
def tolerant() -> None:
    decode_leniently()


def message_of(wire: bytes, key: str = "email.normal", exchange: str = "") -> Message:
    """A file of the corpus, delivered by the broker in frames."""
    body = body_of(wire)
    headers = wire[: len(wire) - len(body)]
    where = b"\x04ctag" + struct.pack(">QB", 1, 0) + _short(exchange) + _short(key)
    content = struct.pack(">HHQH", 60, 0, len(body), 1 << 13) + headers
    stream = _frame(1, struct.pack(">HH", 60, 60) + where) + _frame(2, content)
    stream += _frame(3, body) if body else b""
    found: list[Message] = []
    frames = Frames()
    frames.take(1, lambda _, message: found.append(message))
    assert frames.feed(stream) == b""
    [message] = found
    assert message.body == body
    return message


def _frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"


def _short(text: str) -> bytes:
    encoded = text.encode()[:255]
    return bytes([len(encoded)]) + encoded


def body_of(wire: bytes) -> bytes:
    """What follows the headers."""
    return wire[4 + int(struct.unpack_from(">I", wire)[0]) :]


def reading(message: Message) -> Attempt | MalformedNotification:
    try:
        return read_in_its_lane(message)
    except MalformedNotification as error:
        return error


def assert_read(message: Message, exchange: str) -> None:
    """By the worker and by the archive, in time, with nothing that can't be passed on or stored."""
    began = process_time()
    found = reading(message)
    if isinstance(found, MalformedNotification):
        assert found.problems
        assert all(
            _fit(header)
            for header in headers_of_unread(
                message, found, "worker", "tidings.email.normal"
            ).values()
        )
    settlement = cast(Settlement, None)  # reading settles nothing
    delivery = BrokerDelivery(message, "tidings.dead", exchange, False, 1, settlement)
    dead_letter = read_dead_letter(delivery, channels=CHANNELS)
    assert dead_letter.body == message.body
    assert all(
        map(_fit, (dead_letter.failure.message, dead_letter.failure.kind, dead_letter.routing_key))
    )
    written = json.dumps(dead_letter.headers, allow_nan=False).replace("\\\\", "")
    assert _fit(written.replace("\\u0000", "\x00"))
    assert process_time() - began < PATIENCE


def _fit(value: str | int) -> bool:
    """Whether AMQP and PostgreSQL take it."""
    return "\x00" not in str(value) and len(str(value).encode()) < 1_000_000


def test_there_is_a_corpus() -> None:
    assert len(CORPUS) > 30


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
@pytest.mark.parametrize("exchange", ["", EXCHANGE])
def test_what_once_was_odd_is_read(path: Path, exchange: str) -> None:
    assert_read(message_of(path.read_bytes()), exchange)


bodies = st.sampled_from([body_of(path.read_bytes())[:2_000] for path in CORPUS])


@given(
    body=bodies,
    place=st.integers(0, 2_000),
    taken=st.integers(0, 40),
    put=st.binary(max_size=20) | st.sampled_from([b"\x00", b"\\u0000", b"\xff", b"1e999", b"[[[["]),
)
def test_a_message_with_some_bytes_changed_is_read(
    body: bytes, place: int, taken: int, put: bytes
) -> None:
    changed = body[:place] + put + body[place + taken :]
    assert_read(Message(changed, "email.normal"), EXCHANGE)


def _sized(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _named(fields: list[tuple[bytes, bytes]]) -> bytes:
    return _sized(b"".join(bytes([len(name)]) + name + value for name, value in fields))


def _known() -> Iterator[bytes]:
    yield from (each.encode() for each in vars(Headers).values() if str(each).startswith("x-"))
    yield from (b"x-death", b"traceparent", b"queue", b"reason")


names = st.sampled_from(sorted(_known())) | st.binary(max_size=30)
scalars = st.one_of(
    st.just(b"V"),
    st.binary(max_size=30).map(lambda text: b"S" + _sized(text)),
    st.binary(max_size=30).map(lambda text: b"x" + _sized(text)),
    st.sampled_from([b"rejected", b"delivery_limit", b"2026-01-02T03:04:05+00:00"]).map(
        lambda text: b"S" + _sized(text)
    ),
    st.binary(min_size=8, max_size=8).flatmap(
        lambda eight: st.sampled_from([b"T", b"l", b"d"]).map(lambda tag: tag + eight)
    ),
    st.binary(min_size=5, max_size=5).map(lambda five: b"D" + five),
    st.binary(min_size=4, max_size=4).map(lambda four: b"I" + four),
    st.sampled_from([b"t\x00", b"t\x01", b"b\xff", b"B\xff", b"s\xff\xff", b"u\xff\xff"]),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda all_: b"A" + _sized(b"".join(all_)))
        | st.lists(st.tuples(names, inner), max_size=4).map(lambda fields: b"F" + _named(fields))
    ),
    max_leaves=5,
)
tables = st.lists(st.tuples(names, values), max_size=6).map(_named)


@settings(max_examples=60)
@given(
    table=tables, body=bodies, key=st.text(max_size=40), exchange=st.sampled_from(["", EXCHANGE])
)
def test_any_headers_at_all_are_read(table: bytes, body: bytes, key: str, exchange: str) -> None:
    assert_read(message_of(table + body, key), exchange)
