"""At the wire: takes messages, and the broker's answers to ours, out of the stream of AMQP frames.

aiormq reads a message in nine awaits and three generic decodings, which is most of what a worker
would do for it. Here the frames of the channels we consume are read where they lie, a buffer at a
time; every other frame is passed to aiormq, byte for byte. Layouts are those of the AMQP 0-9-1
specification, chapters 2.3.5 (frames) and 4.2 (methods, content headers, properties).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from tidings.broker.wire.lenient_decoding import headers_at, timestamp_at
from tidings.delivery.attempt import Message

METHOD: Final = 1
_HEADER: Final = 2
_BODY: Final = 3
_KINDS: Final = frozenset({METHOD, _HEADER, _BODY, 8})
_FRAME_END: Final = 0xCE
_AROUND: Final = 8
"""Bytes of a frame beside its payload."""
_DELIVER: Final = b"\x00\x3c\x00\x3c"
"""Basic.Deliver: class 60, method 60."""

_frame = struct.Struct(">BHI").unpack_from
_tag = struct.Struct(">QB").unpack_from
_size = struct.Struct(">Q").unpack_from
_content = struct.Struct(">QH").unpack_from

_CONTENT_TYPE: Final = 1 << 15
_CONTENT_ENCODING: Final = 1 << 14
_HEADERS: Final = 1 << 13
_DELIVERY_MODE: Final = 1 << 12
_PRIORITY: Final = 1 << 11
_BEFORE: Final = (("correlation_id", 1 << 10), ("reply_to", 1 << 9), ("expiration", 1 << 8))
_MESSAGE_ID: Final = 1 << 7
_TIMESTAMP: Final = 1 << 6
_AFTER: Final = (("type", 1 << 5), ("user_id", 1 << 4), ("app_id", 1 << 3))
_ANY_BEFORE: Final = sum(flag for _, flag in _BEFORE)
_ANY_AFTER: Final = sum(flag for _, flag in _AFTER)


@dataclass(slots=True)
class DeliverFrame:
    """One message on its way in."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str


Take: TypeAlias = Callable[[DeliverFrame, Message], None]
"""Called with each message, at once."""

Took: TypeAlias = Callable[[int, bytes, int, int], bool]
"""Called with the kind of a frame and where its payload lies; whether it was taken."""


class Frames:
    """Splits the broker's frames: those of channels that are taken here, and all others. Pure."""

    def __init__(self) -> None:
        self._channels: dict[int, Took] = {}
        self._rest = b""
        self._lost = False
        self.taking = False
        """Whether anything has been taken yet."""

    def take(self, channel: int, take: Take) -> None:
        """Take what is delivered on this channel from now on."""
        self.watch(channel, _Deliveries(take).took)

    def watch(self, channel: int, took: Took) -> None:
        """Ask about every frame of this channel from now on."""
        self._channels[channel] = took

    def leave(self, channel: int) -> None:
        """Take no more on this channel: its number may be given to another."""
        self._channels.pop(channel, None)

    def feed(self, data: bytes) -> bytes:
        """Parse more bytes: messages are delivered, all other frames returned."""
        if self._lost:
            return data
        data = self._rest + data
        others: list[bytes] = []
        at, end = 0, len(data)
        while at + _AROUND <= end:
            kind, number, size = _frame(data, at)
            after = at + _AROUND + size
            if kind not in _KINDS or (after <= end and data[after - 1] != _FRAME_END):
                # Not AMQP, or not 0-9-1: aiormq says it better.
                self._lost = True
                return b"".join([*others, data[at:]])
            if after > end:
                break
            took = self._channels.get(number)
            if took is None or not took(kind, data, at + 7, after - 1):
                others.append(data[at:after])
            at = after
        self._rest = data[at:]
        self.taking = self.taking or bool(self._channels)
        return b"".join(others)


class ContentAssembler:
    """Puts together what follows a method that carries content: a header, and as many bodies as it takes."""

    __slots__ = ("_bodies", "_missing", "expected", "header")

    def __init__(self) -> None:
        self.expected = False
        """Whether it is not complete yet."""
        self.header = b""
        self._missing = 0
        self._bodies: list[bytes] = []

    def begin(self) -> None:
        """Its method has arrived."""
        self.expected = True
        self._bodies = []

    def add(self, kind: int, data: bytes, start: int, stop: int) -> bool:
        """One frame more; whether it was the last."""
        if kind == _HEADER:
            self.header = data[start:stop]
            (self._missing,) = _size(data, start + 4)
        else:
            self._bodies.append(data[start:stop])
            self._missing -= stop - start
        self.expected = self._missing > 0
        return not self.expected

    def take(self) -> bytes:
        """All of the body, which is not kept."""
        bodies, self._bodies = self._bodies, []
        return bodies[0] if len(bodies) == 1 else b"".join(bodies)


class _Deliveries:
    """The messages that one channel delivers."""

    __slots__ = ("_arrival", "_content", "_take")

    def __init__(self, take: Take) -> None:
        self._take = take
        self._arrival = DeliverFrame(0, redelivered=False, exchange="", routing_key="")
        self._content = ContentAssembler()

    def took(self, kind: int, data: bytes, start: int, stop: int) -> bool:
        """Whether a frame is part of a message."""
        if kind == METHOD:
            if data[start : start + 4] != _DELIVER:
                return False
            self._arrival = _arrival(data, start + 4, stop)
            self._content.begin()
            return True
        if not self._content.expected:
            return False
        if self._content.add(kind, data, start, stop):
            arrival = self._arrival
            self._take(
                arrival,
                read_content(self._content.header, self._content.take(), arrival.routing_key),
            )
        return True


def _arrival(data: bytes, at: int, stop: int) -> DeliverFrame:
    at += 1 + data[at]  # the consumer's tag: a channel has one consumer
    tag, redelivered = _tag(data, at)
    exchange, routing_key = _source(data[at + 9 : stop])
    return DeliverFrame(tag, bool(redelivered & 1), exchange, routing_key)


@lru_cache(maxsize=256)
def _source(names: bytes) -> tuple[str, str]:
    """The exchange and the routing key: nearly all messages of a channel have the same few."""
    exchange, at = _short(names, 0)
    return exchange, _short(names, at)[0]


def _short(data: bytes, at: int) -> tuple[str, int]:
    after = at + 1 + data[at]
    return data[at + 1 : after].decode("utf-8", "replace"), after


def read_content(header: bytes, body: bytes, routing_key: str) -> Message:
    """Read the properties, in the order of the specification, as far as anybody asks for them."""
    _, flags = _content(header, 4)
    at = 14
    content_type = content_encoding = message_id = None
    further: dict[str, str] | None = None
    headers: dict[str, object] = {}
    if flags & _CONTENT_TYPE:
        content_type, at = _short(header, at)
    if flags & _CONTENT_ENCODING:
        content_encoding, at = _short(header, at)
    if flags & _HEADERS:
        headers, at = headers_at(header, at)
    at += bool(flags & _DELIVERY_MODE) + bool(flags & _PRIORITY)
    if flags & _ANY_BEFORE:
        further, at = _shorts(header, at, flags, _BEFORE)
    if flags & _MESSAGE_ID:
        message_id, at = _short(header, at)
    timestamp = timestamp_at(header, at) if flags & _TIMESTAMP else None
    if flags & _ANY_AFTER:
        after, _ = _shorts(header, at + 8 * bool(flags & _TIMESTAMP), flags, _AFTER)
        further = {**(further or {}), **after}
    return Message(
        body, routing_key, headers, content_type, content_encoding, message_id, timestamp, further
    )


def _shorts(
    header: bytes, at: int, flags: int, wanted: tuple[tuple[str, int], ...]
) -> tuple[dict[str, str], int]:
    """Short strings that few messages have, by name, and where they end."""
    found: dict[str, str] = {}
    for name, flag in wanted:
        if flags & flag:
            found[name], at = _short(header, at)
    return found, at
