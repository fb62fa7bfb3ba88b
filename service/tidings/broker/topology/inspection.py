"""Compares RabbitMQ with the topology; changes nothing."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from tidings.broker.topology.layout import Binding, Exchange, Queue, Topology
from tidings.broker.topology.management import ListedQueue
from tidings.broker.wire.amqp import FramedConnection
from tidings.broker.wire.session import BrokerSession
from tidings.delivery.errors import ConfigurationError

_INEQUIVALENT: Final = re.compile(
    r"inequivalent arg '([^']+)' .*: received (.+) but current is (.+)$"
)
_VALUE: Final = re.compile(r"(?:the value )?'([^']*)'(?: of type '\w+')?")
_RETRY_QUEUE: Final = re.compile(r"tidings\.[a-z][a-z0-9_-]*\.retry\.\d+[smhd]")


@dataclass(frozen=True, slots=True)
class Depth:
    """The messages in a queue."""

    queue: str
    purpose: str
    messages: int | None
    """Ready messages; None if the queue is missing."""
    consumers: int | None


class Kind(StrEnum):
    """Kinds of differences."""

    MISSING = "missing"
    DIFFERENT = "different"
    FORBIDDEN = "forbidden"
    UNBOUND = "unbound"
    LEFTOVER = "leftover"
    """A retry queue that the topology no longer names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which RabbitMQ differs from the topology."""

    kind: Kind
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Server:
    """A broker's properties."""

    product: str
    version: str
    cluster: str
    capabilities: frozenset[str]

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) if unknown."""
        numbers = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def server(connection: FramedConnection) -> Server:
    """The properties of the connected broker."""
    properties = connection.server_properties
    capabilities: dict[str, bool] = properties.get("capabilities", {})
    return Server(
        str(properties.get("product", "unknown")),
        str(properties.get("version", "")),
        str(properties.get("cluster_name", "")),
        frozenset(name for name, has in capabilities.items() if has),
    )


async def depths(
    connection: AbstractConnection, topology: Topology, timeout: float, pause: float = 0.0
) -> tuple[Depth, ...]:
    """The messages in every queue of the topology, in its order, over AMQP alone.

    Args:
        connection: To RabbitMQ.
        topology: Whose queues.
        timeout: Seconds for each.
        pause: Seconds before each, in which the process does other things.

    Raises:
        BrokerUnavailable: RabbitMQ went away.
        ConfigurationError: Our user may not see a queue.
    """
    async with BrokerSession(connection, timeout) as session:
        return tuple([await _depth(session, queue, pause) for queue in topology.queues])


async def _depth(session: BrokerSession, queue: Queue, pause: float) -> Depth:
    await asyncio.sleep(pause)
    try:
        found = await session.call(lambda channel: channel.queue_declare(queue.name, passive=True))
    except ChannelNotFoundEntity:
        return Depth(queue.name, queue.purpose, None, None)
    return Depth(queue.name, queue.purpose, found.message_count, found.consumer_count)


async def differences(
    connection: AbstractConnection, topology: Topology, timeout: float
) -> tuple[Difference, ...]:
    """Exchanges and queues that are missing or have other arguments, as far as AMQP tells.

    Of a queue or exchange with several differences RabbitMQ names one. Bindings can't be read over
    AMQP: `unbound` compares what the management API lists.

    Raises:
        BrokerUnavailable: RabbitMQ went away.
    """
    session = BrokerSession(connection, timeout)
    things: list[Exchange | Queue] = [*topology.exchanges, *topology.queues]
    found = [await _compare(session, thing) for thing in things]
    return tuple(difference for difference in found if difference is not None)


async def _compare(session: BrokerSession, thing: Exchange | Queue) -> Difference | None:
    kind = "exchange" if isinstance(thing, Exchange) else "queue"
    try:
        # Passively first: declaring what is missing would make it.
        await session.call(partial(_declare, thing, passive=True))
        await session.call(partial(_declare, thing, passive=False))
    except ChannelNotFoundEntity:
        return Difference(Kind.MISSING, thing.name, f"there is no such {kind}")
    except ChannelPreconditionFailed as error:
        return Difference(Kind.DIFFERENT, thing.name, _explain(str(error)))
    except ConfigurationError as error:
        return Difference(Kind.FORBIDDEN, thing.name, str(error))
    return None


async def _declare(thing: Exchange | Queue, channel: AbstractChannel, *, passive: bool) -> None:
    arguments = dict(thing.arguments)
    match thing:
        case Exchange(name=name, type=type_):
            await channel.exchange_declare(
                name, exchange_type=type_, durable=True, passive=passive, arguments=arguments
            )
        case Queue(name=name):
            await channel.queue_declare(name, durable=True, passive=passive, arguments=arguments)


def _explain(reply: str) -> str:
    """RabbitMQ's error about an argument, in plain English."""
    match = _INEQUIVALENT.search(reply)
    if match is None:
        return reply
    wanted, present = (_VALUE.sub(r"\1", text) for text in (match[2], match[3]))
    return f"{match[1]} is {present} in RabbitMQ and has to be {wanted}"


def unbound(topology: Topology, bindings: Iterable[Binding]) -> Iterator[Difference]:
    """Missing bindings, given all existing ones."""
    present = frozenset(bindings)
    for binding in topology.bindings:
        if binding not in present:
            key = f"with key {binding.key}" if binding.key else "without a key"
            yield Difference(
                Kind.UNBOUND, binding.queue, f"it is not bound to {binding.exchange} {key}"
            )


def leftovers(topology: Topology, queues: Iterable[ListedQueue]) -> Iterator[ListedQueue]:
    """Retry queues that no policy uses any more, given all existing queues."""
    named = {queue.name for queue in topology.queues}
    for queue in sorted(queues, key=lambda listed: listed.name):
        if queue.name not in named and _RETRY_QUEUE.fullmatch(queue.name):
            yield queue


def left_over(queue: ListedQueue) -> Difference:
    """A leftover queue as a difference."""
    holds = "unknown" if queue.messages is None else f"{queue.messages:,}"
    return Difference(
        Kind.LEFTOVER, queue.name, f"no retry policy uses it any more; messages in it: {holds}"
    )
