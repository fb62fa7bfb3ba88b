"""RabbitMQ's topology: definitions, comparison, declaration, pruning."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

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
from tidings.operations.actor import Actor
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

log = structlog.get_logger(__name__)

NAME: Final = "tidings topology"
"""Of the connection, in RabbitMQ's management UI."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How RabbitMQ differs from what the settings ask for."""

    differences: Sequence[Difference]
    unchecked: str
    """Why bindings and leftovers could not be looked at; empty if they were."""

    @property
    def faulty(self) -> bool:
        """Whether anything must be fixed: a leftover queue does no harm."""
        return any(difference.kind is not Kind.LEFTOVER for difference in self.differences)


def definitions(settings: Settings) -> str:
    """A RabbitMQ definitions file, which a broker can load when it starts."""
    return json.dumps(topology_of(settings).definitions(), indent=2) + "\n"


async def compare(settings: Settings) -> Comparison:
    """Compare RabbitMQ with what the settings ask for; changes nothing."""
    wanted = topology_of(settings)
    async with connected(settings.broker, NAME) as connection:
        found = [*await differences(connection, wanted, settings.broker.amqp_timeout)]
    management = Management.of(settings.broker)
    missing = {difference.name for difference in found if difference.kind is Kind.MISSING}
    try:
        loose = unbound(wanted, await management.bindings())
        found += [difference for difference in loose if difference.name not in missing]
        found += [left_over(queue) for queue in leftovers(wanted, await management.queues())]
    except BrokerUnavailable as error:
        return Comparison(found, str(error))
    return Comparison(found, "")


async def apply(settings: Settings, actor: Actor) -> Topology:
    """Make what is missing; what exists is left as it is. The log keeps the actor.

    Raises:
        ConfigurationError: Something exists with other arguments; names it.
    """
    wanted = topology_of(settings)
    async with connected(settings.broker, f"{NAME} ({actor})") as connection:
        await declare(connection, wanted, settings.broker.amqp_timeout)
    log.info("topology applied", actor=str(actor))
    return wanted


async def list_leftovers(settings: Settings) -> Sequence[Difference]:
    """Retry queues that no policy leads to any more."""
    queues = await Management.of(settings.broker).queues()
    return [left_over(queue) for queue in leftovers(topology_of(settings), queues)]


async def prune(
    settings: Settings, actor: Actor, progress: Callable[[int], None]
) -> Sequence[Pruned]:
    """Delete leftover retry queues that are empty and unused. The log keeps the actor.

    Args:
        progress: Told how many are watched, for `STATISTICS_SETTLE` seconds.
    """
    broker, wanted = settings.broker, topology_of(settings)
    async with connected(broker, f"{NAME} ({actor})") as connection:
        pruner = Pruner(connection, Management.of(broker), broker.amqp_timeout, report=progress)
        pruned = await pruner.prune(wanted)
    deleted = [queue.queue for queue in pruned if queue.deleted]
    log.info("topology pruned", actor=str(actor), deleted=deleted)
    return pruned
