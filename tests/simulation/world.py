"""Processes, broker, ledger and provider of one simulation, and what happens to them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Final

from tests.doubles.faults import Faults
from tests.doubles.ledger import unchanged
from tests.doubles.loop import PROCESS, Process, SimulatedLoop
from tests.doubles.memory_broker import MemoryBroker
from tests.doubles.memory_channel import MemoryChannel
from tests.doubles.memory_database import MemoryDatabase, MemoryServer
from tests.doubles.memory_dead_letter_statements import STATEMENTS
from tests.doubles.memory_network import MemoryNetwork
from tests.doubles.memory_tables import Statement, Tables
from tests.simulation.provider import SimulatedProvider
from tests.simulation.scenario import EPOCH, RATES, Order, Scenario
from tests.simulation.settings import settings_of
from tests.simulation.trace import Trace

from tidings.archive import Archive
from tidings.broker.connection import BrokerConnection
from tidings.broker.machine import Machine
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.topology.layout import DELIVERY_LIMIT, Topology, topology_of
from tidings.delivery import ports
from tidings.delivery.errors import BrokerUnavailable
from tidings.delivery.retry_policy import Guarantee
from tidings.delivery.states import UNFINISHED
from tidings.ledger import PostgresLedger
from tidings.scheduler import Scheduler
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker import Worker
from tidings_events.routing import EXCHANGE

ROLES: Final = ("worker", "scheduler", "archive")
STEPS_TO_A_CRASH: Final = 700
"""Callbacks of one process within which a crash between two of them falls."""
LONGEST_DOWN: Final = 3.0
"""Seconds until a process that died is started again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a simulation is made of; a test puts a broken one in and sees it found."""

    statements: Mapping[str, Statement] = field(default_factory=lambda: STATEMENTS)
    channel: type[MemoryChannel] = MemoryChannel
    ledger: Callable[[ports.Ledger], ports.Ledger] = unchanged
    """What the workers are given of theirs."""
    provider: type[SimulatedProvider] = SimulatedProvider
    guarantee: Guarantee | None = None
    """The workers' belief, where it is not the scenario's."""


class SimulatedClock:
    """The loop's time, for every process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = loop.time

    def now(self) -> datetime:
        """The time of day."""
        return EPOCH + timedelta(seconds=self.seconds())


class World:
    """Everything of one simulation.

    Args:
        dice: Decide whatever the scenario leaves open.
    """

    def __init__(self, scenario: Scenario, dice: Random, parts: Parts, trace: Trace) -> None:
        self.scenario = scenario
        self.parts = parts
        self.loop = SimulatedLoop(dice, shuffle=scenario.shuffle)  # type: ignore[abstract]  # only typeshed says so
        self.trace = trace
        self.clock = SimulatedClock(self.loop)
        self.now = self.clock.now
        trace.time = self.loop.time
        self.trouble = Faults(dice, scenario.budget, RATES, trace.tell)
        self.tables = Tables(self.now, trace.tell)
        self.server = MemoryServer(self.tables, self.trouble, parts.statements)
        self.broker = MemoryBroker(
            self.loop, self.trouble, trace.tell, counts_nacks=scenario.counts_nacks
        )
        self.network = MemoryNetwork(self.loop, self.broker, self.trouble, parts.channel)
        self.provider = parts.provider(
            scenario.orders, self.trouble, self.now, self.kill, trace.tell, _times(scenario.outages)
        )
        self.confirmed: set[Order] = set()
        self.deaths: dict[Process, datetime] = {}
        self.crashed: list[str] = []
        """Roles that ended with an error of their own."""
        guarantee = parts.guarantee or scenario.guarantee
        self.settings = settings_of(
            scenario.queue_delays,
            guarantee,
            scenario.concurrency,
            scenario.lease_margin,
            scenario.circuit_failures,
        )
        self.topology = _limited(self.settings, scenario.delivery_limit)
        self._machine = Machine(self.network.connect, self.clock)
        self._living: dict[Process, tuple[str, asyncio.Event]] = {}
        self._busy = 0
        self._started = 0
        self._steps_left = self._next_crash()
        self.loop.after_step = self._after_step

    def begin(self) -> None:
        """Start everybody, and arrange for everything that is to happen."""
        for role in (*("worker",) * self.scenario.workers, "scheduler", "archive"):
            self._start(role)
        for order in self.scenario.orders:
            for _ in range(order.copies):
                self.visit("producer", partial(self._publish, order), order.at)
            if (at := order.impostor_at) is not None:
                self.visit(
                    "impostor", partial(self._publish, replace(order, body=order.impostor)), at
                )
        for at, what in self.scenario.incidents:
            self.loop.call_later(at, self._happens, what, context=Context())

    def at_rest(self) -> bool:
        """Whether nothing is left to do."""
        return (
            self._busy == 0
            and self.broker.empty
            and self.network.under_way == 0
            and self.server.under_way == 0
            and self.provider.idle
            and all(row["state"] not in UNFINISHED for row in self.tables.notifications.values())
        )

    def visit(
        self, name: str, work: Callable[[Process], Coroutine[None, None, None]], at: float = 0.0
    ) -> None:
        """Have a process do one thing and end; it is waited for."""
        self._busy += 1

        async def visit(process: Process) -> None:
            await asyncio.sleep(at)
            await work(process)
            self._busy -= 1

        process = self._named(name)
        self._spawn(process, visit(process))

    def ledger(self, process: Process) -> PostgresLedger:
        """A process's ledger."""
        database = MemoryDatabase(self.server, self.settings.ledger.database_timeout)
        return PostgresLedger(self.settings.ledger, actor=process.name, database=database)

    def connection(self, process: Process) -> BrokerConnection:
        """A process's connection to publish on."""
        return BrokerConnection(
            self.settings.broker,
            process.name,
            topology=self.topology,
            machine=self._machine,
        )

    def kill(self, process: Process) -> None:
        """SIGKILL: nothing of it runs any more."""
        if not process.alive:
            return
        self.trace.tell(f"!! {process} is killed")
        process.alive = False
        self.deaths[process] = self.now()
        self.network.process_died(process)
        self.server.process_died(process)
        self._ended(process)

    def _start(self, role: str) -> None:
        process, stop = self._named(role), asyncio.Event()
        self._living[process] = (role, stop)
        self._spawn(process, self._serve(process, role, stop))

    def _named(self, name: str) -> Process:
        self._started += 1
        return Process(f"{name}#{self._started}")

    def _spawn(self, process: Process, work: Coroutine[None, None, None]) -> None:
        context = copy_context()
        context.run(PROCESS.set, process)
        task = self.loop.create_task(work, context=context)
        task.add_done_callback(partial(self._done, process), context=Context())

    def _done(self, process: Process, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crashed.append(f"{process}: {error!r}")
        self.trace.tell(f"{process} ended")
        self.deaths[process] = self.now()
        process.alive = False
        self.network.process_died(process)
        self._ended(process)

    def _ended(self, process: Process) -> None:
        role, _ = self._living.pop(process, (None, None))
        if role is not None:
            late = self.trouble.random.uniform(0, LONGEST_DOWN)
            self.loop.call_later(late, self._start, role, context=Context())

    async def _serve(self, process: Process, role: str, stop: asyncio.Event) -> None:
        async with self.ledger(process) as ledger:
            await self._role(role, ledger).run(stop)

    def _role(self, role: str, ledger: PostgresLedger) -> Worker | Scheduler | Archive:
        match role:
            case "worker":
                return Worker(
                    self.settings,
                    self.topology,
                    self.parts.ledger(ledger),
                    {"email": self.provider},
                    _templates(),
                    _metrics(),
                    self._machine,
                )
            case "scheduler":
                return Scheduler(self.settings, self.topology, ledger, _metrics(), self._machine)
            case _:
                return Archive(self.settings, self.topology, ledger, _metrics(), self._machine)

    async def _publish(self, order: Order, process: Process) -> None:
        """As a producer does it: again, until it is confirmed."""
        async with self.connection(process) as connection:
            publisher = BrokerPublisher(self.settings.broker, connection)
            key = f"email.{order.priority}"
            while True:
                try:
                    await publisher.publish(EXCHANGE, key, order.body, {})
                except BrokerUnavailable:
                    await asyncio.sleep(1.0)
                else:
                    self.confirmed.add(order)
                    return

    def _after_step(self, process: Process) -> None:
        if process not in self._living:
            return
        self._steps_left -= 1
        if self._steps_left <= 0:
            self._steps_left = self._next_crash()
            if self.trouble.budget > 0:
                self.trouble.budget -= 1
                self.kill(process)

    def _next_crash(self) -> int:
        return 1 + int(self.trouble.random.random() * STEPS_TO_A_CRASH)

    def _happens(self, what: str) -> None:
        """An incident that hits a random process."""
        self.trace.tell(f"!! {what}")
        dice, connections = self.trouble.random, list(self.network.connections)
        match what:
            case "cut" if connections:
                dice.choice(connections).cut()
            case "restart":
                for connection in connections:
                    connection.cut()
            case "consumers cancelled" if connections:
                for channel in dice.choice(connections).channels:
                    channel.cancel_consumers()
            case "stop" if self._living:
                dice.choice(list(self._living.values()))[1].set()
            case "purge":
                self._purge()
            case "crash" if self._living:
                self.kill(dice.choice(list(self._living)))

    def _purge(self) -> None:
        """Purge the retry queues."""
        for name, queue in self.broker.queues.items():
            if ".retry." in name:
                queue.ready.clear()


def _times(outages: Sequence[tuple[float, float]]) -> list[tuple[datetime, datetime]]:
    return [
        (EPOCH + timedelta(seconds=begin), EPOCH + timedelta(seconds=end)) for begin, end in outages
    ]


def _limited(settings: object, limit: int) -> Topology:
    whole = _topology(settings)
    queues = tuple(
        replace(queue, arguments={**queue.arguments, "x-delivery-limit": limit})
        if queue.arguments.get("x-delivery-limit") == DELIVERY_LIMIT
        else queue
        for queue in whole.queues
    )
    return replace(whole, queues=queues)


@lru_cache(maxsize=64)
def _topology(settings: object) -> Topology:
    return topology_of(settings)  # type: ignore[arg-type]  # hashable, which the type does not say


@lru_cache(maxsize=1)
def _metrics() -> Metrics:
    return Metrics()


@lru_cache(maxsize=1)
def _templates() -> Templates:
    return Templates(Path(__file__).parent)
