"""What Tidings needs in RabbitMQ: described, compared, made so, tidied up."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.inspection import (
    Difference,
    Kind,
    differences,
    left_over,
    leftovers,
    unbound,
)
from tidings.broker.topology.layout import Topology, topology_of
from tidings.broker.topology.management import Management
from tidings.broker.topology.pruning import STATISTICS_SETTLE, Pruned, Pruner
from tidings.broker.wire.session import connected
from tidings.delivery.errors import BrokerUnavailable
from tidings.operations.backend import Backend
from tidings.settings import Settings

__all__ = [
    "STATISTICS_SETTLE",
    "Comparison",
    "Difference",
    "Kind",
    "Pruned",
    "Topology",
    "apply",
    "compare",
    "definitions",
    "list_leftovers",
    "prune",
    "topology_of",
]

NAME: Final = "tidings topology"
"""Of the connection, in RabbitMQ's management UI."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How RabbitMQ differs from what the settings ask for."""

    differences: Sequence[Difference]
    unseen: str
    """Why bindings and leftovers could not be looked at; empty if they were."""

    @property
    def faulty(self) -> bool:
        """Whether anything has to be mended: a leftover queue does no harm."""
        return any(one.kind is not Kind.LEFTOVER for one in self.differences)


def definitions(settings: Settings) -> str:
    """A RabbitMQ definitions file, which a broker can load when it starts."""
    return json.dumps(topology_of(settings).definitions(), indent=2) + "\n"


async def compare(backend: Backend) -> Comparison:
    """Compare RabbitMQ with what the settings ask for; changes nothing."""
    settings, wanted = backend.settings.broker, topology_of(backend.settings)
    async with connected(settings, NAME) as connection:
        found = [*await differences(connection, wanted, settings.amqp_timeout)]
    management = Management.of(settings)
    missing = {one.name for one in found if one.kind is Kind.MISSING}
    try:
        loose = unbound(wanted, await management.bindings())
        found += [one for one in loose if one.name not in missing]
        found += [left_over(queue) for queue in leftovers(wanted, await management.queues())]
    except BrokerUnavailable as error:
        return Comparison(found, str(error))
    return Comparison(found, "")


async def apply(backend: Backend) -> Topology:
    """Make what is missing; what exists is left as it is.

    Raises:
        ConfigurationError: Something exists with other arguments; names it.
    """
    settings, wanted = backend.settings.broker, topology_of(backend.settings)
    async with connected(settings, NAME) as connection:
        await declare(connection, wanted, settings.amqp_timeout)
    return wanted


async def list_leftovers(backend: Backend) -> Sequence[Difference]:
    """Retry queues that no policy leads to any more."""
    queues = await Management.of(backend.settings.broker).queues()
    return [left_over(queue) for queue in leftovers(topology_of(backend.settings), queues)]


async def prune(backend: Backend, progress: Callable[[int], None]) -> Sequence[Pruned]:
    """Delete leftover retry queues that are empty and that nobody uses.

    Args:
        progress: Told how many are watched, for `STATISTICS_SETTLE` seconds.
    """
    settings, wanted = backend.settings.broker, topology_of(backend.settings)
    async with connected(settings, NAME) as connection:
        management = Management.of(settings)
        pruner = Pruner(connection, management, settings.amqp_timeout, tell=progress)
        return await pruner.prune(wanted)
