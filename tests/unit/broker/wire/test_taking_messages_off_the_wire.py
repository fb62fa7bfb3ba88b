"""Whatever pamqp writes, in whatever pieces it arrives, is read as pamqp would read it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import body as pamqp_body
from pamqp import commands as spec
from pamqp import frame, header, heartbeat

from tidings.broker.wire.frames import DeliverFrame, Frames
from tidings.broker.wire.stream import Stream
from tidings.delivery.attempt import Message

short = st.text(max_size=60)
names = st.text(max_size=30)  # pamqp cuts them at 128 bytes
optional = st.none() | short.filter(bool)
values = st.recursive(
    st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.text(max_size=20) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
properties = st.builds(
    spec.Basic.Properties,
    content_type=optional,
    content_encoding=optional,
    headers=st.none() | st.dictionaries(names, values, max_size=4),
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 9),
    correlation_id=optional,
    reply_to=optional,
    expiration=optional,
    message_id=optional,
    timestamp=st.none() | st.just(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    message_type=optional,
    user_id=optional,
    app_id=optional,
)


def frames_of(
    channel: int, tag: int, key: str, properties: spec.Basic.Properties, body: bytes, piece: int
) -> Iterator[bytes]:
    deliver = spec.Basic.Deliver("ctag", tag, tag % 2 == 1, "tidings.notifications", key)
    yield frame.marshal(deliver, channel)
    yield frame.marshal(header.ContentHeader(0, len(body), properties), channel)
    for at in range(0, len(body), piece):
        yield frame.marshal(pamqp_body.ContentBody(body[at : at + piece]), channel)


def further_of(properties: spec.Basic.Properties) -> dict[str, str] | None:
    named = ("correlation_id", "reply_to", "expiration", "user_id", "app_id")
    found = {name: value for name in named if (value := getattr(properties, name))}
    return {
        **found,
        **({"type": properties.message_type} if properties.message_type else {}),
    } or None


OTHERS = [
    frame.marshal(heartbeat.Heartbeat(), 0),
    frame.marshal(spec.Basic.ConsumeOk("ctag"), 1),
    frame.marshal(spec.Basic.Cancel("ctag", True), 1),
    frame.marshal(spec.Connection.Blocked("low on memory"), 0),
]


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    yield from (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(properties, st.binary(max_size=300), short), max_size=4),
    st.integers(1, 100),
    st.lists(st.integers(0, 10_000), max_size=12),
)
def test_messages_arrive_whole_and_everything_else_goes_on_unchanged(
    sent: list[tuple[spec.Basic.Properties, bytes, str]], piece: int, cuts: list[int]
) -> None:
    stream, others = b"", b""
    for tag, (reported, body, key) in enumerate(sent, start=1):
        between = OTHERS[tag % len(OTHERS)]
        untaken = b"".join(frames_of(2, tag, key, reported, body, piece))
        stream += between + b"".join(frames_of(1, tag, key, reported, body, piece)) + untaken
        others += between + untaken
    taken: list[tuple[DeliverFrame, Message]] = []
    frames = Frames()
    frames.take(1, lambda *message: taken.append(message))
    assert b"".join(frames.feed(part) for part in pieces(stream, cuts)) == others
    assert len(taken) == len(sent)
    for tag, ((arrival, message), (reported, body, key)) in enumerate(
        zip(taken, sent, strict=True), start=1
    ):
        assert arrival == DeliverFrame(tag, tag % 2 == 1, "tidings.notifications", key)
        assert message == Message(
            body,
            key,
            reported.headers or {},
            reported.content_type,
            reported.content_encoding,
            reported.message_id,
            reported.timestamp,
            further_of(reported),
        )


def test_a_channel_that_was_left_is_aiormq_s_again() -> None:
    frames = Frames()
    frames.take(1, lambda *_: pytest.fail("nobody takes this any more"))
    frames.leave(1)
    data = b"".join(frames_of(1, 1, "email.high", spec.Basic.Properties(), b"{}", 9))
    assert frames.feed(data) == data


@pytest.mark.parametrize(
    "odd",
    [
        b"AMQP\x00\x00\x09\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame.marshal(heartbeat.Heartbeat(), 0)[:-1] + b"\x00",
    ],
)
def test_what_is_no_amqp_goes_on_for_aiormq_to_tell(odd: bytes) -> None:
    frames = Frames()
    frames.take(1, lambda *_: pytest.fail("no message"))
    assert frames.feed(odd) + frames.feed(b"and more") == odd + b"and more"


def test_odd_properties_hold_nobody_up() -> None:
    properties = spec.Basic.Properties(content_type="x", headers={"name": "value"})
    data = b"".join(frames_of(1, 1, "email.high", properties, b"{}", 9))
    unreadable = data.replace(b"\x01x", b"\x01\xe9").replace(b"\x04nameS", b"\x04name?")
    assert len(unreadable) == len(data)
    taken: list[Message] = []
    frames = Frames()
    frames.take(1, lambda _, message: taken.append(message))
    assert frames.feed(unreadable + data) == b""
    assert [(message.content_type, message.headers) for message in taken] == [
        ("\N{REPLACEMENT CHARACTER}", {}),
        ("x", {"name": "value"}),
    ]


async def test_a_connection_that_brings_nothing_but_messages_looks_alive_to_aiormq() -> None:
    reader, frames = asyncio.StreamReader(), Frames()
    stream = Stream(reader, frames)
    taken: list[Message] = []
    frames.take(1, lambda _, message: taken.append(message))
    reader.feed_data(b"".join(frames_of(1, 1, "email.high", spec.Basic.Properties(), b"{}", 9)))
    async with asyncio.timeout(5):
        assert await stream.readexactly(8) == frame.marshal(heartbeat.Heartbeat(), 0)
    assert [message.body for message in taken] == [b"{}"]
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await stream.readexactly(1)
    assert stream.at_eof()


async def test_while_nobody_takes_anything_nothing_is_put_between() -> None:
    reader = asyncio.StreamReader()
    stream = Stream(reader, Frames())
    greeting = frame.marshal(spec.Connection.Blocked("x" * 100), 0)
    reader.feed_data(greeting[:20])
    reading = asyncio.create_task(stream.readexactly(len(greeting)))
    await asyncio.sleep(0)
    reader.feed_data(greeting[20:])
    async with asyncio.timeout(5):
        assert await reading == greeting
