"""Follows operators' orders, and reports the providers that this worker finds down."""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from datetime import datetime
from math import isinf
from typing import Any, Final

import structlog

from tidings.broker.machine import MACHINE, Machine
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import TidingsError
from tidings.delivery.orders import CircuitReport, Order, SentThrough, Verb, pausing
from tidings.delivery.ports import Ledger
from tidings.worker.channel_worker import ChannelWorker
from tidings.worker.providers import Provider

log = structlog.get_logger(__name__)

EVERY: Final = 1.0
"""Seconds between polls: by polling, no order is missed if a connection is lost."""
REPEAT: Final = 10.0
"""Seconds after which a circuit that is not closed is reported again, to show that the worker is alive."""


class SendsSeen:
    """When each provider was last seen to have sent another notification, while its circuit let sends pass."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], int] = {}
        self._healthy: dict[tuple[str, str], bool] = {}
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}
        """When that was, and how long before at most it was sent."""

    def look(self, workers: Sequence[ChannelWorker], now: float) -> None:
        """See what was sent since the last look. A send that began before the circuit opened says nothing of the provider now."""
        for worker in workers:
            for provider in worker.providers.all:
                key, healthy = (worker.providers.name, provider.name), provider.circuit.healthy
                if healthy and provider.sent > self._sent.get(key, 0):
                    self._seen[key] = now, EVERY if self._healthy.get(key, True) else 0.0
                self._sent[key], self._healthy[key] = provider.sent, healthy

    def since(self, then: float, now: float) -> Sequence[SentThrough]:
        """Those seen since then. What was sent may be a look older, unless the circuit was open at that look."""
        return [
            SentThrough(*key, now - at + before)
            for key, (at, before) in self._seen.items()
            if at > then
        ]


class OrderWatcher:
    """Applies operators' orders to the channels of one worker.

    While PostgreSQL is unavailable the last known orders stay in force.
    """

    def __init__(
        self,
        ledger: Ledger,
        workers: Sequence[ChannelWorker],
        machine: Machine = MACHINE,
    ) -> None:
        self._clock = machine.clock
        self._ledger = ledger
        self._workers = workers
        self._applied: dict[tuple[str, str], int] = {}
        self._since: dict[tuple[str, str], datetime] = {}
        self._reported: dict[tuple[str, str], Phase] = {}
        self._reported_at = 0.0
        self._sends = SendsSeen()
        self.answered = True
        """Whether PostgreSQL answered the last query."""

    async def begin(self, stop: asyncio.Event) -> None:
        """Read the orders in force before any message is consumed; waits for PostgreSQL."""
        while not (stop.is_set() or await self._poll()):
            await asyncio.sleep(EVERY)

    async def watch_for_ever(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self._sends.look(self._workers, self._clock.seconds())
            if await self._poll():
                await self._report()

    async def end(self) -> None:
        """Withdraw this worker's reports."""
        if self._reported:
            await self._try(self._ledger.controls.report_circuits(self._ledger.actor, []))

    async def _poll(self) -> bool:
        """Apply new orders; returns whether PostgreSQL answered."""
        orders: list[Order] = []

        async def read() -> None:
            orders.extend(await self._ledger.controls.orders())

        if not await self._try(read()):
            return False
        for worker in self._workers:
            self._apply(worker, orders)
        return True

    def _apply(self, worker: ChannelWorker, orders: Sequence[Order]) -> None:
        name = worker.providers.name
        order = pausing(orders, name)
        if order is not None and not worker.paused:
            log.warning("channel paused", channel=name, by=order.actor, note=order.note)
            worker.pause()
        if order is None and worker.paused:
            log.warning("channel resumed", channel=name)
            worker.resume()
        for provider in worker.providers.all:
            self._apply_to_provider(worker, provider, orders)

    def _apply_to_provider(
        self, worker: ChannelWorker, provider: Provider, orders: Sequence[Order]
    ) -> None:
        key = (worker.providers.name, provider.name)
        order = next((order for order in orders if (order.channel, order.provider) == key), None)
        if order is None or self._applied.get(key) == order.id:
            return
        self._applied[key] = order.id
        if order.verb is Verb.DISABLE:
            worker.providers.hold(provider, f"by {order.actor}: {order.note}")
        elif order.verb is Verb.ENABLE:
            worker.providers.reset(provider)

    async def _report(self) -> None:
        """Report changes, and repeat the report regularly: what is not closed, and what was sent."""
        found, now = list(self._open_circuits()), self._clock.seconds()
        phases = {(report.channel, report.provider): report.phase for report in found}
        sent = self._sends.since(self._reported_at, now)
        again = (found or sent) and now - self._reported_at > REPEAT
        if (phases != self._reported or again) and await self._try(
            self._ledger.controls.report_circuits(self._ledger.actor, found, sent)
        ):
            self._reported, self._reported_at = phases, now

    def _open_circuits(self) -> Iterator[CircuitReport]:
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
                    channel,
                    provider.name,
                    phase,
                    provider.last_error,
                    since,
                    None if isinf(wait) else wait,
                )

    async def _try(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a query; returns whether PostgreSQL answered. An outage is logged once."""
        try:
            await work
        except TidingsError as error:
            if self.answered:
                log.warning("operators' orders unavailable", error=str(error))
            self.answered = False
        else:
            self.answered = True
        return self.answered
