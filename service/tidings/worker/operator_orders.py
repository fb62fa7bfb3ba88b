"""Keeps up with what operators order, and tells them which providers this worker finds down."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime
from math import isinf
from typing import Any, Final

import structlog

from tidings.broker.surroundings import MACHINE, Surroundings
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import TidingsError
from tidings.delivery.orders import CircuitReport, Order, Verb, pausing
from tidings.delivery.ports import Ledger
from tidings.worker.channel_worker import ChannelWorker
from tidings.worker.providers import Provider

log = structlog.get_logger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks: asked anew each time, nothing is missed however the connection fares."""
REPEAT: Final = 10.0
"""Seconds after which a circuit that is not closed is told again: its worker lives."""


class OrderWatcher:
    """Between the operators and the channels of one worker.

    While PostgreSQL is away the last orders that were seen stay in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        workers: Sequence[ChannelWorker],
        surroundings: Surroundings = MACHINE,
    ) -> None:
        self._clock = surroundings.clock
        self._ledger = ledger
        self._workers = workers
        self._obeyed: dict[tuple[str, str], int] = {}
        self._since: dict[tuple[str, str], datetime] = {}
        self._said: dict[tuple[str, str], Phase] = {}
        self._said_at = 0.0
        self.answered = True
        """Whether PostgreSQL answered the last time."""

    async def begin(self, stop: asyncio.Event) -> None:
        """Learn what is in force before anything is taken; waits for PostgreSQL."""
        while not (stop.is_set() or await self._look()):
            await asyncio.sleep(EVERY)

    async def watch_for_ever(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(EVERY)
            if await self._look():
                await self._tell()

    async def end(self) -> None:
        """This worker has nothing more to say of any provider."""
        if self._said:
            await self._try(self._ledger.controls.report_circuits(self._ledger.actor, []))

    async def _look(self) -> bool:
        """Obey what is new; whether PostgreSQL answered."""
        orders: list[Order] = []

        async def ask() -> None:
            orders.extend(await self._ledger.controls.orders())

        if not await self._try(ask()):
            return False
        for worker in self._workers:
            self._obey(worker, orders)
        return True

    def _obey(self, worker: ChannelWorker, orders: Sequence[Order]) -> None:
        name = worker.providers.name
        order = pausing(orders, name)
        if order is not None and not worker.paused:
            log.warning("channel paused", channel=name, by=order.actor, note=order.note)
            worker.pause()
        if order is None and worker.paused:
            log.warning("channel resumed", channel=name)
            worker.resume()
        for provider in worker.providers.all:
            self._obey_about(worker, provider, orders)

    def _obey_about(
        self, worker: ChannelWorker, provider: Provider, orders: Sequence[Order]
    ) -> None:
        key = (worker.providers.name, provider.name)
        order = next((order for order in orders if (order.channel, order.provider) == key), None)
        if order is None or self._obeyed.get(key) == order.id:
            return
        self._obeyed[key] = order.id
        if order.verb is Verb.DISABLE:
            worker.providers.hold(provider, f"by {order.actor}: {order.note}")
        elif order.verb is Verb.ENABLE:
            worker.providers.reset(provider)

    async def _tell(self) -> None:
        """Say what changed, and now and then that it is still so."""
        found = list(self._found())
        phases = {(report.channel, report.provider): report.phase for report in found}
        again = found and self._clock.seconds() - self._said_at > REPEAT
        if (phases != self._said or again) and await self._try(
            self._ledger.controls.report_circuits(self._ledger.actor, found)
        ):
            self._said, self._said_at = phases, self._clock.seconds()

    def _found(self) -> Iterator[CircuitReport]:
        now = self._clock.now()
        for worker in self._workers:
            channel = worker.providers.name
            for provider in worker.providers.all:
                key, phase = (channel, provider.name), provider.circuit.phase
                if phase is Phase.CLOSED:
                    self._since.pop(key, None)
                    continue
                since, wait = self._since.setdefault(key, now), provider.circuit.wait()
                yield CircuitReport(
                    channel, provider.name, phase, provider.last_error, since, None if isinf(wait) else wait
                )

    async def _try(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether PostgreSQL did it; that it does not answer is logged once."""
        try:
            await work
        except TidingsError as error:
            if self.answered:
                log.warning("operators' orders can't be asked for", error=str(error))
            self.answered = False
        else:
            self.answered = True
        return self.answered
