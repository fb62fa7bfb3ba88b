"""The network between clients and a broker in memory: in order and a little later, or, where it is cut, not at all."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Protocol, cast

from aiormq.exceptions import ConnectionClosed
from tests.doubles.faults import Faults
from tests.doubles.loop import PROCESS, Process
from tests.doubles.memory_broker import MemoryBroker

from tidings.broker.wire.amqp import FramedConnection
from tidings.broker.wire.frames import Frames
from tidings.broker.wire.lenient_decoding import decode_leniently
from tidings.delivery.errors import BrokerUnavailable
from tidings.settings import BrokerSettings


class ChannelEnds(Protocol):
    """Both ends of a channel, as its connection sees them."""

    def lose(self, error: Exception) -> None:
        """The client's end is of no use any more."""

    def gone(self) -> None:
        """The broker's end: whatever it held comes again."""

    def cancel_consumers(self) -> None:
        """The broker takes its queues away."""


class Pipe:
    """One direction of a connection: in order, and some time later."""

    def __init__(self, network: "MemoryNetwork", context: Context) -> None:
        self._network = network
        self._context = context
        self._under_way: deque[Callable[[], None]] = deque()
        self._last = 0.0
        self._cut = False

    def send(self, arrives: Callable[[], None]) -> None:
        """Have this done at the other end."""
        if self._cut:
            return
        loop, trouble = self._network.loop, self._network.trouble
        self._under_way.append(arrives)
        self._network.under_way += 1
        late = trouble.delay() if trouble.strikes("slow network") else trouble.latency()
        self._last = max(self._last, loop.time() + late)
        loop.call_at(self._last, self._arrive, context=self._context)

    def cut(self) -> None:
        """Lose what is under way; perhaps not its beginning."""
        while self._under_way and self._network.trouble.random.random() < 0.5:
            self._arrive()
        self.drop()

    def drop(self) -> None:
        """Lose what is under way."""
        self._cut = True
        self._network.under_way -= len(self._under_way)
        self._under_way.clear()

    def _arrive(self) -> None:
        if self._under_way:
            self._network.under_way -= 1
            self._under_way.popleft()()


class MemoryNetwork:
    """Every connection to one broker."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        broker: MemoryBroker,
        trouble: Faults,
        channel: Callable[["MemoryConnection"], ChannelEnds],
    ) -> None:
        self.loop = loop
        self.broker = broker
        self.trouble = trouble
        self.under_way = 0
        """Frames sent and not arrived."""
        self.misuses: list[str] = []
        """What a real broker closes a channel for."""
        self.connections: list[MemoryConnection] = []
        self.channel = channel
        decode_leniently()  # as every connection to RabbitMQ has it done

    async def connect(self, url: str, settings: BrokerSettings, name: str) -> FramedConnection:
        """A connection, now. Raises `BrokerUnavailable`."""
        del url, settings
        await asyncio.sleep(self.trouble.latency())
        if self.trouble.strikes("connection refused", name):
            raise BrokerUnavailable("refused")
        connection = MemoryConnection(self, name, PROCESS.get())
        self.connections.append(connection)
        return cast(FramedConnection, connection)

    def process_died(self, process: Process) -> None:
        """What it had sent still arrives; then the broker sees that the client is gone."""
        for connection in [line for line in self.connections if line.process is process]:
            connection.to_server.send(connection.gone)


class MemoryConnection:
    """A connection as its client sees it; `channels` is what the broker keeps of it.

    What concerns messages passes it as AMQP frames, read by the same code as RabbitMQ's; the rest, as calls.
    """

    def __init__(self, network: MemoryNetwork, name: str, process: Process | None) -> None:
        self.network = network
        self.name = name
        self.process = process
        self.is_closed = False
        self.frames = Frames()
        self.channels: list[ChannelEnds] = []
        self.to_server = Pipe(network, Context())
        self.to_client = Pipe(network, copy_context())
        self._closed: asyncio.Future[bool] = network.loop.create_future()

    def channel(self, **_: bool) -> ChannelEnds:
        """A new channel."""
        channel = self.network.channel(self)
        self.channels.append(channel)
        return channel

    def send_to_client(self, data: bytes) -> None:
        """Have frames arrive at the client."""
        self.to_client.send(lambda: self._arrived(data))

    def _arrived(self, data: bytes) -> None:
        if not self.is_closed:
            self.frames.feed(data)

    async def closed(self) -> bool:
        """Wait for the end of it."""
        return await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Say goodbye: what was sent before arrives."""
        if not self.is_closed:
            self.to_server.send(self.gone)
            self._lose(ConnectionClosed(200, "goodbye"))

    def cut(self) -> None:
        """Both ends find that it is lost, each in its own time."""
        self.to_server.cut()
        self.to_client.cut()
        context = Context()
        self.network.loop.call_later(
            self.network.trouble.delay(), self.gone, context=context
        )  # the broker's heartbeat
        if self.process is None or self.process.alive:
            self._lose(ConnectionResetError("connection reset"))

    def gone(self) -> None:
        """The broker's end: unsettled messages are redelivered."""
        self.to_server.drop()
        self.to_client.drop()
        if self in self.network.connections:
            self.network.connections.remove(self)
        for channel in self.channels:
            channel.gone()

    def _lose(self, error: Exception) -> None:
        self.is_closed = True
        for channel in self.channels:
            channel.lose(error)
        if not self._closed.done():
            self._closed.set_result(True)
