"""Step six, at the wire: publishes written together, each answered for by the broker's own numbers.

aiormq writes every publish by itself, behind a lock and with four futures. Here whatever is published
at one moment goes out in one write, and an answer is looked up by its number. What was returned is told
by its `message_id`, which has to be unlike any other's.
"""

import asyncio
import struct
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final

from aiormq import Channel
from aiormq.abc import ChannelFrame
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from pamqp import commands as spec

from tidings.broker.wire.frames import METHOD, ContentAssembler, Frames, read_content
from tidings.broker.wire.publish_frames import content_frames, method_frame

LARGE: Final = 256 * 1024
"""Bytes of a body that is written in pieces."""

_tag = struct.Struct(">QB")


def _answer(data: bytes, at: int) -> tuple[int, int]:
    """The number that is answered for, and the bits beside it."""
    number, bits = _tag.unpack_from(data, at)
    return number, bits


def _expire(answer: "asyncio.Future[None]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


class Returned(Exception):
    """The broker knew of no queue for it."""


class Nacked(Exception):
    """The broker took it and would not keep it: its queue is full, or has no leader."""


class ConfirmingChannel:
    """A channel with confirms on, of which we read the answers ourselves.

    Publish nothing on `channel` by another way: its messages are numbered here.
    """

    def __init__(self, channel: Channel, frames: Frames) -> None:
        self._channel = channel
        self._frames = frames
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._numbers: dict[str, int] = {}
        self._returned = ContentAssembler()
        self._unwritten: list[bytes | Iterator[bytes]] = []
        self._writing: asyncio.Task[None] | None = None
        frames.watch(channel.number, self._took)
        channel.closing.add_done_callback(self._lost)

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be published on it any more."""
        return self._channel.is_closed

    async def close(self) -> None:
        """Give the channel back."""
        await self._channel.close()

    async def basic_publish(
        self,
        body: bytes,
        message_id: str,
        *,
        exchange: str,
        routing_key: str,
        properties: bytes,
        mandatory: bool,
        within: float,
    ) -> None:
        """Publish, and wait for the broker's answer. As for `begin`.

        Args:
            within: Seconds until it has to answer.

        Raises:
            Returned, Nacked: As it answered.
            TimeoutError: It did not.
            AMQPError, ChannelInvalidStateError: The channel was lost before it did.
        """
        answer = self.begin(
            body,
            message_id,
            exchange=exchange,
            routing_key=routing_key,
            properties=properties,
            mandatory=mandatory,
        )
        limit = self._loop.call_later(within, _expire, answer)  # costs a fifth of `asyncio.timeout`
        try:
            await answer
        finally:
            limit.cancel()
            self.forget(message_id)

    def begin(
        self,
        body: bytes,
        message_id: str,
        *,
        exchange: str,
        routing_key: str,
        properties: bytes,
        mandatory: bool,
    ) -> "asyncio.Future[None]":
        """Publish; the broker's answer is to be awaited, and then the `message_id` to be given to `forget`.

        Args:
            message_id: In its properties.
            properties: Encoded (`tidings.broker.wire.properties`).

        Raises:
            ChannelInvalidStateError: The channel is closed.
        """
        if self.is_closed:
            raise ChannelInvalidStateError("the channel is closed")
        number = self._channel.number
        method = method_frame(number, exchange, routing_key, mandatory=mandatory)
        frames = content_frames(number, properties, body, self._channel.max_content_size)
        answer = self._expect(message_id)
        if len(body) < LARGE:
            self._unwritten.append(method + b"".join(frames))
        else:
            self._unwritten += method, frames
        if self._writing is None:
            self._writing = self._loop.create_task(self._write())
        return answer

    def forget(self, message_id: str) -> None:
        """Nothing waits any more for the answer about a message."""
        self._numbers.pop(message_id, None)

    def _expect(self, message_id: str) -> asyncio.Future[None]:
        self._count += 1
        self._numbers[message_id] = self._count
        answer: asyncio.Future[None] = self._loop.create_future()
        self._waiting[self._count] = answer
        return answer

    async def _write(self) -> None:
        try:
            while self._unwritten:
                if small := self._take_small():
                    await self._put(b"".join(small))
                while self._unwritten and not isinstance(frames := self._unwritten[0], bytes):
                    del self._unwritten[0]
                    await self._write_in_pieces(frames)
        finally:
            self._writing = None

    def _take_small(self) -> list[bytes]:
        """Whatever goes together, up to a large content."""
        small: list[bytes] = []
        for written in self._unwritten:
            if not isinstance(written, bytes):
                break
            small.append(written)
        del self._unwritten[: len(small)]
        return small

    async def _write_in_pieces(self, frames: Iterable[bytes]) -> None:
        """A large content, each frame when the one before is on its way: at once they would lie in memory thrice."""
        for frame in frames:
            drained = self._loop.create_future()
            await self._put(frame, drained)
            await drained

    async def _put(self, payload: bytes, drained: asyncio.Future[None] | None = None) -> None:
        frame = ChannelFrame(payload, should_close=False, drain_future=drained)
        await self._channel.write_queue.put(frame)

    def _took(self, kind: int, data: bytes, start: int, stop: int) -> bool:
        if kind != METHOD:
            return self._took_content(kind, data, start, stop)
        match struct.unpack_from(">I", data, start)[0]:
            case spec.Basic.Ack.index:
                self._settle(_answer(data, start + 4), None)
            case spec.Basic.Nack.index:
                self._settle(_answer(data, start + 4), Nacked())
            case spec.Basic.Return.index:
                self._returned.begin()
            case _:
                return False
        return True

    def _took_content(self, kind: int, data: bytes, start: int, stop: int) -> bool:
        if not self._returned.expected:
            return False
        if self._returned.add(kind, data, start, stop):
            self._returned.take()
            returned = read_content(self._returned.header, b"", "").message_id or ""
            answer = self._waiting.get(self._numbers.get(returned, 0))
            if answer is not None and not answer.done():
                answer.set_exception(Returned())
        return True

    def _settle(self, numbers: tuple[int, int], error: Exception | None) -> None:
        """The broker answers for one message, or for all up to it. What it returned, it told before."""
        last, bits = numbers
        up_to = takewhile(lambda number: number <= last, self._waiting)
        for number in list(up_to) if bits & 1 else [last]:
            answer = self._waiting.pop(number, None)
            if answer is None or answer.done():
                continue
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

    def _lost(self, closing: "asyncio.Future[object]") -> None:
        """Nothing will be answered any more."""
        self._frames.leave(self._channel.number)
        if self._writing is not None:
            self._writing.cancel()
        cause = None if closing.cancelled() else closing.exception()
        error = cause if isinstance(cause, AMQPError) else None
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(error or ChannelInvalidStateError("the connection was lost"))
