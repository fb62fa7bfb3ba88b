"""An AMQP connection that costs next to nothing: preloading must not dominate what is measured."""

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame, header
from pamqp.base import Frame

CHANNEL: Final = 1
WINDOW: Final = 4_000
"""Messages on their way without a confirm."""
CHUNK: Final = 250
LARGEST_FRAME: Final = 131_072
_HEAD: Final = struct.Struct(">BHI")

_Answer = TypeVar("_Answer", bound=Frame)


class WireError(Exception):
    """The broker refused something, or hung up."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it goes over the wire."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, Any] = field(default_factory=dict)


class Wire:
    """A blocking connection with one confirming channel. Use it with `with`."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        """Connects.

        Args:
            url: `amqp://user:password@host:port/vhost`.
            timeout: Seconds to wait for the broker at most, each time.
        """
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 5672), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent = 0
        self._floor = 0
        self._singles: set[int] = set()
        self._prefixes: dict[tuple[str, str], bytes] = {}
        self._open(
            unquote(parts.username or "guest"), unquote(parts.password or "guest"), parts.path
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def declare_exchange(self, name: str, kind: str, arguments: Mapping[str, Any]) -> None:
        """A durable exchange."""
        request = commands.Exchange.Declare(
            exchange=name, exchange_type=kind, durable=True, arguments=dict(arguments)
        )
        self._call(request, commands.Exchange.DeclareOk)

    def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """A durable queue."""
        request = commands.Queue.Declare(queue=name, durable=True, arguments=dict(arguments))
        self._call(request, commands.Queue.DeclareOk)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """From an exchange to a queue."""
        request = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=key)
        self._call(request, commands.Queue.BindOk)

    def depth(self, queue: str) -> int:
        """Messages that are ready in a queue; those that a consumer holds are not."""
        answer = self._call(
            commands.Queue.Declare(queue=queue, passive=True), commands.Queue.DeclareOk
        )
        return answer.message_count or 0

    def purge(self, queue: str) -> None:
        """Drop what is ready."""
        self._call(commands.Queue.Purge(queue=queue), commands.Queue.PurgeOk)

    def delete(self, queue: str) -> None:
        """Drop a queue, where there is one."""
        self._call(commands.Queue.Delete(queue=queue), commands.Queue.DeleteOk)

    def publish(self, envelopes: Iterable[Envelope]) -> int:
        """Publish all, persistent and confirmed; how many. Returns once the broker has them."""
        before = self._sent
        waiting = iter(envelopes)
        while chunk := list(islice(waiting, CHUNK)):
            self.send(chunk)
            while self.unconfirmed > WINDOW:
                self._absorb()
        while self.unconfirmed:
            self._absorb()
        return self._sent - before

    def send(self, envelopes: Iterable[Envelope]) -> None:
        """Hand messages over without waiting for their confirms."""
        pieces = [piece for envelope in envelopes for piece in self._pieces(envelope)]
        self._socket.sendall(b"".join(pieces))

    @property
    def unconfirmed(self) -> int:
        """Messages the broker has not confirmed."""
        return self._sent - self._floor - len(self._singles)

    def wait_until_confirmed(self) -> None:
        """Return once nothing is unconfirmed."""
        while self.unconfirmed:
            self._absorb()

    def absorb_what_is_there(self) -> None:
        """Take in confirms that have arrived, waiting for none."""
        limit = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            while self.unconfirmed:
                self._absorb()
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(limit)

    def _pieces(self, envelope: Envelope) -> Iterator[bytes]:
        self._sent += 1
        target = (envelope.exchange, envelope.routing_key)
        if (prefix := self._prefixes.get(target)) is None:
            publish = commands.Basic.Publish(
                exchange=envelope.exchange, routing_key=envelope.routing_key
            )
            prefix = self._prefixes[target] = frame.marshal(publish, CHANNEL)
        yield prefix
        properties = commands.Basic.Properties(delivery_mode=2, **envelope.properties)
        head = header.ContentHeader(0, len(envelope.body), properties)
        yield frame.marshal(head, CHANNEL)
        yield _HEAD.pack(3, CHANNEL, len(envelope.body))
        yield envelope.body
        yield b"\xce"

    def _open(self, user: str, password: str, path: str) -> None:
        self._socket.sendall(header.ProtocolHeader().marshal())
        self._await(commands.Connection.Start)
        self._call(
            commands.Connection.StartOk(
                client_properties={"product": "benchmark"}, response=f"\0{user}\0{password}"
            ),
            commands.Connection.Tune,
            channel=0,
        )
        self._write(commands.Connection.TuneOk(CHANNEL, LARGEST_FRAME, 0), 0)
        vhost = unquote(path.removeprefix("/")) or "/"
        self._call(
            commands.Connection.Open(virtual_host=vhost), commands.Connection.OpenOk, channel=0
        )
        self._call(commands.Channel.Open(), commands.Channel.OpenOk)
        self._call(commands.Confirm.Select(), commands.Confirm.SelectOk)

    def _call(self, request: Frame, answer: type[_Answer], *, channel: int = CHANNEL) -> _Answer:
        self._write(request, channel)
        return self._await(answer)

    def _write(self, request: Frame, channel: int) -> None:
        self._socket.sendall(frame.marshal(request, channel))

    def _await(self, answer: type[_Answer]) -> _Answer:
        while True:
            got = self._absorb()
            if isinstance(got, answer):
                return got

    def _absorb(self) -> object:
        """Take in one frame, and what it says about confirms."""
        got = self._read()
        match got:
            case commands.Basic.Ack(delivery_tag=tag, multiple=multiple):
                self._confirm(int(tag), multiple=bool(multiple))
            case commands.Basic.Nack():
                raise WireError("the broker refused a message: its queue is full")
            case commands.Channel.Close() | commands.Connection.Close():
                raise WireError(f"the broker closed: {got.reply_code} {got.reply_text}")
            case _:
                pass
        return got

    def _confirm(self, tag: int, *, multiple: bool) -> None:
        if multiple:
            self._floor = max(self._floor, tag)
            self._singles = {tag for tag in self._singles if tag > self._floor}
        else:
            self._singles.add(tag)
        while self._floor + 1 in self._singles:
            self._floor += 1
            self._singles.discard(self._floor)

    def _read(self) -> object:
        while True:
            if len(self._buffer) >= _HEAD.size:
                size = _HEAD.unpack_from(self._buffer)[2] + _HEAD.size + 1
                if len(self._buffer) >= size:
                    piece, self._buffer = self._buffer[:size], self._buffer[size:]
                    return frame.unmarshal(piece)[2]
            data = self._socket.recv(65_536)
            if not data:
                raise WireError("the broker hung up")
            self._buffer += data
