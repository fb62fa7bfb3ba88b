"""Deletes retry queues that no policy uses any more, once they are empty.

RabbitMQ refuses `if-empty` and `if-unused` for quorum queues (540, on 3.10 it even closes the
connection), and a queue that AMQP calls empty may still hold messages: those whose time ran out and
whose lane has not taken them yet. So each queue is first cut off from its exchange, then given time
to show up as empty in RabbitMQ's statistics, which count those messages too, then deleted. What
isn't empty is bound again, as it was.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from tidings.broker.topology.inspection import leftovers
from tidings.broker.topology.layout import Binding, Topology
from tidings.broker.topology.management import ListedQueue, Management
from tidings.broker.wire.session import BrokerSession

Change: TypeAlias = Callable[[Binding, AbstractChannel], Awaitable[None]]

STATISTICS_SETTLE: Final = 11.0
"""Seconds: two of RabbitMQ's statistics intervals and one to spare."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result for a leftover queue."""

    queue: str
    deleted: bool
    why: str
    """Why it was kept; empty if it was deleted."""


class Pruner:
    """Deletes leftover retry queues.

    Args:
        settle: Seconds after which the statistics are newer than the unbinding.
        report: Called with the number of unbound queues, before the wait.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        management: Management,
        timeout: float,
        *,
        settle: float = STATISTICS_SETTLE,
        report: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._session = BrokerSession(connection, timeout)
        self._management = management
        self._settle = settle
        self._report = report

    async def prune(self, topology: Topology) -> tuple[Pruned, ...]:
        """Delete every retry queue that the topology doesn't name and that is empty and unused.

        Raises:
            BrokerUnavailable: RabbitMQ or its management API went away; what was cut off may
                still be: run it again, or `apply` a topology that names it.
        """
        listed = tuple(leftovers(topology, await self._management.queues()))
        reasons = {queue.name: why for queue in listed if (why := _why_keep(queue))}
        empty = [queue.name for queue in listed if queue.name not in reasons]
        if empty:
            reasons |= await self._cut_wait_delete(empty)
        return tuple(
            Pruned(queue.name, queue.name not in reasons, reasons.get(queue.name, ""))
            for queue in listed
        )

    async def _cut_wait_delete(self, names: Iterable[str]) -> dict[str, str]:
        """Delete these queues; the reasons of those that were kept."""
        bound = await self._management.bindings()
        cut = {name: [binding for binding in bound if binding.queue == name] for name in names}
        try:
            for bindings in cut.values():
                await self._each(_unbind, bindings)
            self._report(len(cut))
            await asyncio.sleep(self._settle)
            reasons = await self._reasons(cut)
            for name in set(cut) - set(reasons):
                await self._session.call(partial(_delete, name))
                del cut[name]
        finally:
            for bindings in cut.values():
                await self._each(_bind, bindings)
        return reasons

    async def _each(self, change: Change, bindings: Iterable[Binding]) -> None:
        for binding in bindings:
            await self._session.call(partial(change, binding))

    async def _reasons(self, names: Iterable[str]) -> dict[str, str]:
        """Why each has to be kept, now that nothing new can have come in for a while."""
        listed = {queue.name: queue for queue in await self._management.queues()}
        reasons: dict[str, str] = {}
        for name in names:
            if name in listed:
                now = await self._session.call(partial(_look, name))
                if why := _why_keep(listed[name]) or _why_keep(now):
                    reasons[name] = why
        return reasons


def _why_keep(queue: ListedQueue) -> str:
    if queue.messages is None:
        return "RabbitMQ has no statistics of it yet; try again in a minute"
    if queue.messages:
        return f"it holds {queue.messages:,} messages; they return to their lanes when their delay ends"
    return "it has a consumer" if queue.consumers else ""


async def _look(name: str, channel: AbstractChannel) -> ListedQueue:
    try:
        found = await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return ListedQueue(name, 0, 0)  # deleted meanwhile
    return ListedQueue(name, found.message_count, found.consumer_count)


async def _delete(name: str, channel: AbstractChannel) -> None:
    await channel.queue_delete(name)


async def _bind(binding: Binding, channel: AbstractChannel) -> None:
    with suppress(ChannelNotFoundEntity):  # deleted meanwhile
        await channel.queue_bind(binding.queue, binding.exchange, binding.key)


async def _unbind(binding: Binding, channel: AbstractChannel) -> None:
    await channel.queue_unbind(binding.queue, binding.exchange, binding.key)
