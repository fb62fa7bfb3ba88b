"""One connection or channel, now, with a limit on every wait; and what the clients raise, in a line."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError
from pamqp.exceptions import PAMQPException
from yarl import URL

from tidings.broker.wire.frames import Frames
from tidings.broker.wire.lenient_decoding import decode_leniently
from tidings.broker.wire.stream import Transport
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.runtime.certificates import distrust, verifying
from tidings.settings import BrokerSettings

AUTHORITY: Final = "TIDINGS_AMQP_CA_FILE"

CONNECTION_ERRORS: Final = (
    AMQPError,
    aio_pika.exceptions.AMQPError,
    PAMQPException,
    OSError,
    EOFError,
    StopAsyncIteration,
    TimeoutError,
    RuntimeError,
)
"""What aio-pika and aiormq raise where the broker is away, refuses or hangs; `RuntimeError` is
theirs for a channel or connection that closed meanwhile."""


class FramedConnection(aio_pika.Connection):
    """Lets us take messages before aiormq reads them, and knows when it is lost.

    aio-pika's own counts as open until we close it ourselves.
    """

    def __init__(self, url: URL, *args: Any, **kwargs: Any) -> None:
        super().__init__(url, *args, **kwargs)
        self.frames = Frames()
        self.kwargs["transport_factory"] = Transport(url.scheme, self.frames)

    @property
    def server_properties(self) -> Mapping[str, Any]:
        """What the broker says of itself; empty before it is connected."""
        return {} if self.transport is None else self.transport.connection.server_properties

    async def _on_connection_close(self, closing: "asyncio.Future[None]") -> None:
        await super()._on_connection_close(closing)
        if not self._closed.done():
            self._closed.set_result(True)


@contextmanager
def broker_errors() -> Iterator[None]:
    """Make one error of all that the clients raise where the broker goes away.

    If a connection ends without a reason, aiormq cancels the tasks that wait for an answer, or
    raises a bare `Exception`; neither may look as if we had been cancelled ourselves.

    Raises:
        BrokerUnavailable: Says what happened.
    """
    try:
        yield
    except CONNECTION_ERRORS as error:
        raise BrokerUnavailable(explain(error)) from error
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise BrokerUnavailable("the connection was lost") from None
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise BrokerUnavailable("the connection was lost") from None


async def connect(url: str, settings: BrokerSettings, name: str) -> FramedConnection:
    """One connection, now.

    Raises:
        BrokerUnavailable: It could not be had within the time limit.
        ConfigurationError: The file of a certificate authority can't be read.
    """
    decode_leniently()
    target = URL(url).update_query(name=name, heartbeat=str(settings.amqp_heartbeat))
    try:
        async with asyncio.timeout(settings.amqp_timeout):
            return await aio_pika.connect(
                target,
                ssl_context=(
                    verifying(settings.amqp_ca_file, AUTHORITY)
                    if target.scheme == "amqps"
                    else None
                ),
                connection_class=FramedConnection,
            )
    except CONNECTION_ERRORS as error:
        untrusted = distrust(error, address="TIDINGS_AMQP_URL", authority=AUTHORITY)
        raise BrokerUnavailable(
            f"{target.host}:{target.port or 'default port'}: {untrusted or explain(error)}"
        ) from error


async def open_channel(
    connection: AbstractConnection, timeout: float, *, confirms: bool = True
) -> aiormq.Channel:
    """An aiormq channel, for the hot path: confirms on unless not wanted, returns raised."""
    async with asyncio.timeout(timeout):
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize()
        return cast("aiormq.Channel", await channel.get_underlay_channel())


def lost_event(channel: AbstractChannel) -> asyncio.Event:
    """It is set once the broker cancels a consumer of the channel, or the channel closes."""
    lost = asyncio.Event()
    channel.on_consumer_cancel_callbacks.add(lambda _: lost.set())
    channel.closing.add_done_callback(lambda _: lost.set())
    return lost


def explain(error: BaseException) -> str:
    """An AMQP error in one line, its type where it has no words; never a URL with its password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:  # aiormq's own errors of the connection too
        return error.strerror
    text = " ".join(str(argument) for argument in error.args if argument) or str(error)
    if isinstance(error, TidingsError):
        return text
    if "Connection.OpenOk" in text:  # aiormq keeps RabbitMQ's own words to itself
        return "RabbitMQ knows no such virtual host, or its user may not enter it"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
