"""What a role takes from the machine it runs on: its way to the broker and its clocks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from tidings.broker.wire.amqp import FramedConnection, connect
from tidings.delivery.ports import Clock
from tidings.runtime.clock import CLOCK
from tidings.settings import BrokerSettings

Connect: TypeAlias = Callable[[str, BrokerSettings, str], Awaitable[FramedConnection]]
"""Given a URL, settings and a name: one connection, now. Raises `BrokerUnavailable`."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine's own, unless a simulation gives others."""

    connect: Connect = connect
    clock: Clock = CLOCK


MACHINE: Final = Machine()
