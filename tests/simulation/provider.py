"""The provider: does what the scenario says, and knows what it really took."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tests.doubles.faults import Faults
from tests.doubles.loop import PROCESS, Process
from tests.simulation.scenario import Order, Reply

from tidings.delivery.errors import (
    Deferred,
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict
from tidings.delivery.recipients import RecipientResult, RecipientState, roles

FOREVER: Final = 10_000.0

REFUSALS: Final[Mapping[Reply, Callable[[], DeliveryError]]] = MappingProxyType(
    {
        Reply.UNAVAILABLE: lambda: Unavailable("busy"),
        Reply.DEFERRED: lambda: Deferred("mailbox full"),
        Reply.THROTTLED: lambda: Throttled("slower", retry_after=2.0),
        Reply.REJECTED: lambda: Rejected("no such user"),
        Reply.MISCONFIGURED: lambda: Misconfigured("wrong password"),
        Reply.NOTHING: lambda: OutcomeUnknown("the reply was lost"),
    }
)
"""What is raised where nothing was sent; anything else was taken."""


@dataclass(slots=True)
class Sending:
    """One call of `Channel.send`, as the provider saw it."""

    id: UUID
    epoch: int
    number: int
    process: Process
    began: datetime
    took: datetime | None = None
    """When the provider took it; None where it never did."""
    replied: bool = False
    """Whether the worker was told so."""
    over: bool = False
    reply: Reply = Reply.SENT
    addressed: tuple[str, ...] = ()
    """For whom it was."""
    reached: tuple[str, ...] = ()
    """Who of them got it, if it was taken."""
    body: bytes = b""
    """What was to be sent."""


class SimulatedProvider:
    """A channel for every process; what it accepted is kept when a process dies.

    Args:
        crash: Ends the process that is sending.
        outages: When it is unreachable.
    """

    name = "email"
    template_parts = TemplateParts()

    def __init__(
        self,
        orders: Sequence[Order],
        trouble: Faults,
        now: Callable[[], datetime],
        crash: Callable[[Process], None],
        tell: Callable[[str], None],
        outages: Sequence[tuple[datetime, datetime]] = (),
    ) -> None:
        self._outages = outages
        self.sendings: list[Sending] = []
        self._replies = {order.id: order.replies for order in orders}
        self._mailboxes = {order.id: dict(order.mailboxes) for order in orders}
        self._calls: Counter[UUID] = Counter()
        self._asked: Counter[tuple[UUID, str]] = Counter()
        self._trouble = trouble
        self._now = now
        self._crash = crash
        self._tell = tell

    @property
    def idle(self) -> bool:
        """Whether no live process is sending."""
        return all(sending.over or not sending.process.alive for sending in self.sendings)

    async def send(self, request: SendRequest) -> Sent:
        """Do what the scenario says."""
        process = PROCESS.get()
        assert process is not None  # only workers send
        attempt = request.attempt
        sending = Sending(attempt.id, attempt.epoch, attempt.number, process, self._now())
        sending.body = request.attempt.body
        self.sendings.append(sending)
        reply = sending.reply = self._reply(attempt.id)
        self._tell(f"provider: {str(attempt.id)[:5]} attempt {attempt.number}: {reply}")
        try:
            await self._wait(process)
            return await self._do(reply, sending, request)
        finally:
            sending.over = True

    def _reply(self, id: UUID) -> Reply:
        if any(begin <= self._now() < end for begin, end in self._outages):
            return Reply.UNAVAILABLE
        place, replies = self._calls[id], self._replies[id]
        self._calls[id] += 1
        return replies[place] if place < len(replies) else Reply.SENT

    async def _do(self, reply: Reply, sending: Sending, request: SendRequest) -> Sent:
        if (error := self.refusal(reply)) is not None:
            raise error
        results = tuple(self._results(request))
        sending.addressed = tuple(result.address for result in results)
        sending.reached = tuple(
            result.address for result in results if result.state is RecipientState.SENT
        )
        sending.took = self._now()
        match reply:
            case Reply.LOST:
                raise OutcomeUnknown("the reply was lost")
            case Reply.BREAKS:
                raise RuntimeError("a fault of our own")
            case Reply.HANGS:
                await asyncio.sleep(FOREVER)
            case Reply.SLOW:
                await asyncio.sleep(self._trouble.delay())
            case _:
                await self._wait(sending.process)
        sending.replied = True
        alike = not request.recipients and sending.addressed == sending.reached
        return Sent("simulated", str(sending.id), "250", recipients=() if alike else results)

    def _results(self, request: SendRequest) -> Iterator[RecipientResult]:
        """Its result for each recipient that is not settled."""
        id = request.attempt.id
        settled = {result.address for result in request.recipients if result.settled}
        for address, role in roles(request.notification).items():
            if address not in settled:
                answers, place = self._mailboxes[id].get(address, ()), self._asked[id, address]
                self._asked[id, address] += 1
                state = answers[place] if place < len(answers) else RecipientState.SENT
                kind = "" if state is RecipientState.SENT else state.value
                yield RecipientResult(address, role, state, kind, "", kind)

    async def _wait(self, process: Process) -> None:
        if self._trouble.strikes("crash while sending", str(process)):
            self._crash(process)
        await asyncio.sleep(self._trouble.latency())

    @staticmethod
    def refusal(reply: Reply) -> DeliveryError | None:
        """What is raised where nothing was sent."""
        made = REFUSALS.get(reply)
        return made() if made is not None else None

    async def check(self) -> Sequence[Finding]:
        """There is nothing that could be wrong."""
        return [Finding(self.name, Verdict.OK, "simulated")]

    async def close(self) -> None:
        """Nothing is open."""
