"""The worker role: every channel it serves, on one connection to consume and one to publish."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache, partial
from types import MappingProxyType

import structlog

from tidings.broker.connection import BrokerConnection
from tidings.broker.machine import MACHINE, Machine
from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.topology.layout import Topology
from tidings.delivery.circuit import Circuit
from tidings.delivery.ports import PRIMARY, Channel, Ledger
from tidings.runtime.background import BackgroundTask
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker.channel_worker import ChannelWorker
from tidings.worker.flow import Flow
from tidings.worker.operator_orders import OrderWatcher
from tidings.worker.parts import NO_WRAPPERS, Parts
from tidings.worker.providers import Provider, Providers
from tidings.worker.settle import Settler

log = structlog.get_logger(__name__)


class Worker:
    """Delivers notifications from the lanes of its channels, until stopped.

    Args:
        channels: The channels to serve; closed at the end.
        machine: The connection to RabbitMQ, and the clocks.
        fallbacks: Further providers by channel and name, in order of preference; closed too.
        parts: Wrappers of ledger, channels and publisher.
        memory_budget: The unacknowledged messages of this process, shared with its other roles.
    """

    def __init__(
        self,
        settings: Settings,
        topology: Topology,
        ledger: Ledger,
        channels: Mapping[str, Channel],
        templates: Templates,
        metrics: Metrics,
        machine: Machine = MACHINE,
        parts: Parts = NO_WRAPPERS,
        fallbacks: Mapping[str, Mapping[str, Channel]] = MappingProxyType({}),
        memory_budget: MemoryBudget | None = None,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._templates = templates
        name = f"tidings {ledger.actor}"
        self._publishing = BrokerConnection(
            settings.broker, f"{name} (publish)", topology=topology, machine=machine
        )
        ledger = parts.ledger(ledger)
        publisher = parts.publisher(BrokerPublisher(settings.broker, self._publishing))
        settler = Settler(publisher, worker=ledger.actor)
        memory_budget = memory_budget or MemoryBudget(settings.worker.buffer_bytes)
        self._workers = [
            ChannelWorker(
                Flow(
                    providers=_providers(
                        settings, {PRIMARY: channel, **fallbacks.get(name, {})}, machine, parts
                    ),
                    policy=lru_cache(maxsize=1000)(partial(settings.policy, name)),
                    queue_delays=settings.delays(name),
                    lease_margin=settings.worker.lease_margin,
                    ledger=ledger,
                    settler=settler,
                    templates=templates,
                    metrics=metrics.channel(name),
                    clock=machine.clock,
                ),
                settings.channels[name],
                settings.broker.amqp_timeout,
                machine.clock.seconds,
                memory_budget,
            )
            for name, channel in channels.items()
        ]
        self._tasks: list[BackgroundTask] = []
        self._watch = OrderWatcher(ledger, self._workers, machine)
        self._consuming = BrokerConnection(
            settings.broker,
            f"{name} (consume)",
            topology=topology,
            consumers=[worker.consumer for worker in self._workers],
            machine=machine,
        )

    @property
    def channels(self) -> Sequence[str]:
        """The names of its channels."""
        return list(self._channels)

    @property
    def templates(self) -> str:
        """The digest of its templates: see `Library.digest`."""
        return self._templates.digest

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        return self._publishing.up and self._consuming.up

    @property
    def ready(self) -> bool:
        """Whether every lane is being consumed, messages can be published, all tasks run, and this process is not
        short of open files, memory or threads."""
        consuming = all(
            worker.consumer.ready and not worker.providers.short_of_resources
            for worker in self._workers
        )
        return self._publishing.up and consuming and all(task.healthy for task in self._tasks)

    @property
    def paused(self) -> tuple[str, ...]:
        """Channels paused by an operator."""
        return tuple(worker.providers.name for worker in self._workers if worker.paused)

    @property
    def orders_available(self) -> bool:
        """Whether operators' orders could be read the last time."""
        return self._watch.answered

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, then finish messages under way within the grace period."""
        async with AsyncExitStack() as stack:
            for worker in self._workers:
                stack.push_async_callback(worker.providers.close)
            await stack.enter_async_context(self._publishing)
            await self._watch.begin(stop)
            await stack.enter_async_context(self._consuming)
            self._tasks = [
                *(
                    BackgroundTask("postpone messages held too long", worker.sweep_for_ever)
                    for worker in self._workers
                ),
                BackgroundTask("follow operators' orders", self._watch.watch_for_ever),
            ]
            log.info("worker started", channels=sorted(self._channels))
            await stop.wait()
            await asyncio.gather(self._finish(), *(task.end() for task in self._tasks))
            await self._watch.end()

    async def _finish(self) -> None:
        grace = self._settings.worker.grace
        log.info("worker finishing", grace=grace)
        unfinished = await asyncio.gather(*(worker.finish(grace) for worker in self._workers))
        await asyncio.gather(*(worker.consumer.close() for worker in self._workers))
        if left := sum(unfinished):
            log.warning(
                "worker stopped with unfinished messages: RabbitMQ delivers them again",
                messages=left,
            )
        log.info("worker stopped")


def _providers(
    settings: Settings, channels: Mapping[str, Channel], machine: Machine, parts: Parts
) -> Providers:
    return Providers(
        [
            Provider(
                name,
                parts.channel(channel),
                Circuit(settings.provider(channel.name, name).circuit, machine.clock.seconds),
            )
            for name, channel in channels.items()
        ]
    )
