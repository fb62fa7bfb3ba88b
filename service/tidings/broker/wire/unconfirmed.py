"""At the wire: publishes what may be lost, without confirms."""

import asyncio
import struct
from typing import Final

import aiormq
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelInvalidStateError

from tidings.broker.wire.amqp import explain
from tidings.broker.wire.publish_frames import content_frames, method_frame

TRANSIENT_JSON: Final = b"".join(
    (
        struct.pack(">H", 1 << 15 | 1 << 12),  # content_type and delivery_mode (4.2.6.1)
        b"\x10application/json",
        b"\x01",
    )
)
"""The properties of a message that needs not outlive the broker."""


class UnconfirmedChannel:
    """A channel without confirms: the broker drops what it can't route, and closes the channel if it refuses something."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self._channel = channel

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be published on it any more."""
        return self._channel.is_closed

    @property
    def why_closed(self) -> str:
        """The broker's reason; empty if it gave none."""
        closing = self._channel.closing
        if not closing.done() or closing.cancelled():
            return ""
        error = closing.exception()
        return "" if error is None else explain(error)

    async def publish(self, exchange: str, body: bytes) -> None:
        """Publish transient JSON without a routing key; returns once it is on its way.

        It may never return if the connection is blocked or lost: limit the time.

        Raises:
            ChannelInvalidStateError: The channel is closed.
        """
        if self.is_closed:
            raise ChannelInvalidStateError("the channel is closed")
        number, most = self._channel.number, self._channel.max_content_size
        method = method_frame(number, exchange, "", mandatory=False)
        payload = method + b"".join(content_frames(number, TRANSIENT_JSON, body, most))
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        frame = ChannelFrame(payload, should_close=False, drain_future=drained)
        await self._channel.write_queue.put(frame)
        await drained
