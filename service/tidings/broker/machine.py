"""The outside of a role: connections to RabbitMQ, and clocks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tidings.broker.wire.amqp import FramedConnection, connect
from tidings.delivery.ports import Clock
from tidings.runtime.clock import CLOCK
from tidings.settings import BrokerSettings

Connect: TypeAlias = Callable[[str, BrokerSettings, str], Awaitable[FramedConnection]]
"""Opens one connection from URL, settings and name. Raises `BrokerUnavailable`."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The real connections and clocks; a simulation has its own."""

    connect: Connect = connect
    clock: Clock = CLOCK


MACHINE: Final = Machine()
