"""Every inner part of aio-pika, aiormq and pamqp that `broker/wire` relies on: an upgrade that moves one fails here.

What each does there is held by the tests of `broker/` against RabbitMQ.
"""

import asyncio
import re
from collections.abc import Callable
from inspect import getsource, iscoroutinefunction, signature
from typing import Any

import aio_pika
import aiormq
import pamqp.frame
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame
from aiormq.connection import (
    FrameReceiver,
    TCPTransportFactory,
    TLSTransportFactory,
    TransportFactory,
)
from pamqp import commands, decode
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from yarl import URL

from tidings.broker.wire.stream import HEARTBEAT


def takes(function: Callable[..., Any], *names: str) -> bool:
    return {*names} <= {*signature(function).parameters}


def set_in(made: type, *names: str) -> bool:
    return {*names} <= {*re.findall(r"self\.(\w+)(?:: [^=]+)? = ", getsource(made.__init__))}  # type: ignore[misc]


async def is_closed_by_its_future() -> bool:
    connection = aio_pika.Connection(URL("amqp://localhost"))
    connection._closed.set_result(True)
    return connection.is_closed


def drained() -> bool:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    ChannelFrame(b"", should_close=False, drain_future=future).drain()
    loop.close()
    return future.done()


HOOKS: dict[str, Callable[[], bool]] = {
    # wire/amqp.py
    "aio_pika.connect takes connection_class and ssl_context": lambda: takes(
        aio_pika.connect, "connection_class", "ssl_context"
    ),
    "aio_pika.Connection passes its kwargs on to aiormq": lambda: (
        set_in(aio_pika.Connection, "kwargs")
        and "**self.kwargs" in getsource(aio_pika.Connection.connect)
    ),
    "aiormq.Connection takes transport_factory": lambda: takes(
        aiormq.Connection, "transport_factory"
    ),
    "aio_pika.Connection awaits _on_connection_close(closing) when it is lost": lambda: (
        iscoroutinefunction(aio_pika.Connection._on_connection_close)
        and takes(aio_pika.Connection._on_connection_close, "closing")
        and "self._on_connection_close" in getsource(aio_pika.Connection.connect)
    ),
    "aio_pika.Connection is closed when its future _closed is done": lambda: asyncio.run(
        is_closed_by_its_future()
    ),
    "aio_pika.Connection has transport.connection, whose server_properties are the broker's": lambda: (
        set_in(aio_pika.Connection, "transport")
        and "server_properties" in aiormq.Connection.__annotations__
    ),
    "aio_pika's channel gives aiormq's by get_underlay_channel": lambda: iscoroutinefunction(
        AbstractChannel.get_underlay_channel
    ),
    "aiormq raises RuntimeErrors for a closed channel, OSErrors for a lost connection": lambda: (
        issubclass(aiormq.exceptions.ChannelInvalidStateError, RuntimeError)
        and issubclass(aiormq.exceptions.AMQPConnectionError, OSError)
    ),
    "aiormq.Channel has on_consumer_cancel_callbacks": lambda: set_in(
        aiormq.Channel, "on_consumer_cancel_callbacks"
    ),
    "aiormq.Channel has closing, a future": lambda: (
        "asyncio.Future" in getsource(aiormq.Channel.closing.fget)  # type: ignore[attr-defined]
    ),
    # wire/stream.py
    "aiormq's transport factories open a socket by create(url, **kwargs)": lambda: all(
        [*signature(made.create).parameters] == ["self", "url", "kwargs"]
        for made in (TransportFactory, TCPTransportFactory, TLSTransportFactory)
    ),
    "aiormq asks its reader for at_eof, read and readexactly alone": lambda: (
        {*re.findall(r"self\.reader\.(\w+)", getsource(FrameReceiver))}
        == {"at_eof", "read", "readexactly"}
    ),
    "pamqp reads our heartbeat as one": lambda: isinstance(
        pamqp.frame.unmarshal(HEARTBEAT)[2], Heartbeat
    ),
    # wire/confirms.py; the number names a channel to wire/frames.py
    "aiormq.Channel has number, write_queue, max_content_size": lambda: set_in(
        aiormq.Channel, "number", "write_queue", "max_content_size"
    ),
    "aiormq writes a ChannelFrame's payload and sets its drain_future": lambda: (
        takes(ChannelFrame, "payload", "should_close", "drain_future") and drained()
    ),
    "pamqp.frame.marshal writes methods, content headers and bodies": lambda: (
        pamqp.frame.marshal(commands.Basic.Publish(exchange="e", routing_key="r"), 1)
        == b"\x01\0\x01\0\0\0\x0b\x00\x3c\x00\x28\0\0\x01e\x01r\0\xce"
        and pamqp.frame.marshal(ContentHeader(properties=None, body_size=7), 1)[7:19]
        == b"\x00\x3c\0\0\0\0\0\0\0\0\0\x07"
        and pamqp.frame.marshal(ContentBody(b"x"), 1) == b"\x03\0\x01\0\0\0\x01x\xce"
    ),
    "pamqp's commands have their numbers as index": lambda: (
        (commands.Basic.Ack.index, commands.Basic.Nack.index, commands.Basic.Return.index)
        == (0x3C0050, 0x3C0078, 0x3C0032)
    ),
    # wire/tolerance.py
    "pamqp looks each decoder up in METHODS and TABLE_MAPPING": lambda: (
        {"shortstr", "timestamp", "table"} <= {*decode.METHODS}
        and {b"T", b"F"} <= {*decode.TABLE_MAPPING}
        and "METHODS.get(" in getsource(decode.by_type)
        and "TABLE_MAPPING[" in getsource(decode.embedded_value)
    ),
    "pamqp's decoders return how much they read, and the value": lambda: (
        decode.timestamp(bytes(8))[0] == 8 and decode.embedded_value(b"t\1") == (2, True)
    ),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_into_the_clients_is_where_it_was(hook: str) -> None:
    try:
        holds = HOOKS[hook]()
    except (AttributeError, TypeError, ValueError, OSError) as error:
        pytest.fail(f"no longer true: {hook} ({error}); broker/wire relies on it")
    assert holds, f"no longer true: {hook}; broker/wire relies on it"
