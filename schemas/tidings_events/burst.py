"""Publishes many messages in one write, and collects the broker's answer to each.

aiormq writes every publish by itself, behind a lock and with several futures. The messages of a burst share one write
and one wait.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import aiormq
import pamqp.frame
from aiormq.abc import ChannelFrame
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tidings_events.errors import NotConfirmed, PublishFailed
from tidings_events.publication import REFUSED, OutgoingMessage, lane_full, no_exchange, no_queue
from tidings_events.routing import EXCHANGE

LOST: Final = "the connection was lost before the confirm came"


class MessageRefused(NotConfirmed):
    """The broker closed the channel over a message; it does not say which."""


class Burst:
    """The answers to messages that were published together."""

    def __init__(self, publications: Sequence[OutgoingMessage]) -> None:
        self.publications: Final = publications
        self.answers: Final = [_Answer(self._answered) for _ in publications]
        self.failure: PublishFailed | None = None
        """Why messages without an answer have none; None if each has one."""
        self._open = len(publications)
        self._complete = asyncio.Event()
        if not publications:
            self._complete.set()

    def outcomes(self) -> Iterator[PublishFailed | None]:
        """Each message's error; None if it was confirmed, and `failure` itself if there is no answer."""
        for publication, answer in zip(self.publications, self.answers, strict=True):
            match answer.error:
                case None:
                    yield None if answer.done() else self.failure
                case aiormq.PublishError():
                    yield no_queue(publication.routing_key)
                case _:
                    yield lane_full(publication.routing_key)

    async def wait(self, channel: aiormq.Channel) -> None:
        """Wait until each is answered, or the channel is closed."""
        closing = channel.closing
        closing.add_done_callback(self._end)
        try:
            await self._complete.wait()
        finally:
            closing.remove_done_callback(self._end)
            channel.message_id_delivery_tag.clear()  # no other publish is under way
        if self._open:
            self.failure = why_closed(channel)

    def _answered(self) -> None:
        self._open -= 1
        if not self._open:
            self._complete.set()

    def _end(self, _: object) -> None:
        self._complete.set()


class _Answer:
    """What aiormq needs of a future that it confirms; nothing waits for it alone."""

    __slots__ = ("_done", "_then", "error")

    def __init__(self, then: Callable[[], None]) -> None:
        self._done = False
        self._then = then
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return False

    def set_result(self, _: object) -> None:
        self._done = True
        self._then()

    def set_exception(self, error: BaseException) -> None:
        self.error = error
        self.set_result(None)


async def publish_together(
    channel: aiormq.Channel, publications: Sequence[OutgoingMessage], timeout: float
) -> Burst:
    """Publish all of them, and wait at most `timeout` seconds for the answers.

    Raises nothing for what may happen to a message or the connection: the result tells it.
    """
    burst = Burst(publications)
    deadline = asyncio.get_running_loop().time() + timeout
    try:
        async with asyncio.timeout_at(deadline), channel.lock:
            await _write(channel, burst)
            await burst.wait(channel)
    except TimeoutError:
        burst.failure = NotConfirmed(
            f"no confirm within {timeout:g}s; publish it again with the same id"
        )
    except aiormq.exceptions.ChannelInvalidStateError:
        burst.failure = why_closed(channel)
    return burst


async def _write(channel: aiormq.Channel, burst: Burst) -> None:
    """Number the messages as the broker does, and hand them to the connection."""
    frames: list[bytes] = []
    first = channel.delivery_tag + 1
    for publication, answer in zip(burst.publications, burst.answers, strict=True):
        channel.delivery_tag += 1
        channel.confirmations[channel.delivery_tag] = cast(Any, answer)
        properties = publication.properties()
        channel.message_id_delivery_tag[str(properties.message_id)] = channel.delivery_tag
        frames += _frames(channel, publication, properties)
    try:
        await channel.write_queue.put(ChannelFrame(b"".join(frames), should_close=False))
    except BaseException:
        # The broker has seen none of them, and would number the next ones otherwise.
        for tag in range(first, channel.delivery_tag + 1):
            del channel.confirmations[tag]
        channel.delivery_tag = first - 1
        raise


def _frames(
    channel: aiormq.Channel, publication: OutgoingMessage, properties: commands.Basic.Properties
) -> Iterator[bytes]:
    number, most, body = channel.number, channel.max_content_size, publication.body
    yield _method(number, publication.routing_key)
    yield pamqp.frame.marshal(ContentHeader(properties=properties, body_size=len(body)), number)
    for at in range(0, len(body), most):
        yield pamqp.frame.marshal(ContentBody(body[at : at + most]), number)


@lru_cache(maxsize=256)
def _method(number: int, routing_key: str) -> bytes:
    """The frame with the address: the same for all messages of a lane."""
    method = commands.Basic.Publish(exchange=EXCHANGE, routing_key=routing_key, mandatory=True)
    return pamqp.frame.marshal(method, number)


def why_closed(channel: aiormq.Channel) -> PublishFailed:
    """Why messages without an answer will have none: the channel is closed."""
    closing = channel.closing
    error = closing.exception() if closing.done() and not closing.cancelled() else None
    match error:
        case aiormq.ChannelNotFoundEntity():
            return no_exchange()
        case aiormq.ChannelPreconditionFailed():
            return MessageRefused(f"{REFUSED}{error}")
        case aiormq.ChannelAccessRefused():
            return NotConfirmed(f"{REFUSED}{error}")
        case _:
            return NotConfirmed(LOST)
