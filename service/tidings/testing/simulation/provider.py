"""The provider: does what the scenario says, and knows what it really took."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from tidings.delivery.errors import (
    DeliveryError,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest, TemplateParts, Verdict
from tidings.testing.loop import PROCESS, Process
from tidings.testing.simulation.scenario import Order, Reply
from tidings.testing.trouble import Trouble

FOREVER: Final = 10_000.0


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
    told: bool = False
    """Whether the worker was told so."""
    over: bool = False


class SimulatedProvider:
    """A channel for every process; what it took is remembered whoever dies.

    Args:
        crash: Ends the process that is sending.
    """

    name = "email"
    template_parts = TemplateParts()

    def __init__(
        self,
        orders: Sequence[Order],
        trouble: Trouble,
        now: Callable[[], datetime],
        crash: Callable[[Process], None],
        tell: Callable[[str], None],
    ) -> None:
        self.sendings: list[Sending] = []
        self._replies = {order.id: order.replies for order in orders}
        self._calls: Counter[UUID] = Counter()
        self._trouble = trouble
        self._now = now
        self._crash = crash
        self._tell = tell

    @property
    def idle(self) -> bool:
        """Whether nobody that lives is sending."""
        return all(one.over or not one.process.alive for one in self.sendings)

    async def send(self, request: SendRequest) -> Sent:
        """Do what the scenario says."""
        process = PROCESS.get()
        assert process is not None  # noqa: S101  # only workers send
        attempt = request.attempt
        sending = Sending(attempt.id, attempt.epoch, attempt.number, process, self._now())
        self.sendings.append(sending)
        reply = self._reply(attempt.id)
        self._tell(f"provider: {str(attempt.id)[:5]} attempt {attempt.number}: {reply}")
        try:
            await self._wait(process)
            return await self._do(reply, sending)
        finally:
            sending.over = True

    def _reply(self, id: UUID) -> Reply:
        place, replies = self._calls[id], self._replies[id]
        self._calls[id] += 1
        return replies[place] if place < len(replies) else Reply.SENT

    async def _do(self, reply: Reply, sending: Sending) -> Sent:
        if (error := _refusal(reply)) is not None:
            raise error
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
        sending.told = True
        return Sent("simulated", str(sending.id), "250")

    async def _wait(self, process: Process) -> None:
        if self._trouble.strikes("crash while sending", str(process)):
            self._crash(process)
        await asyncio.sleep(self._trouble.latency())

    async def check(self) -> Sequence[Finding]:
        """There is nothing that could be wrong."""
        return [Finding(self.name, Verdict.OK, "simulated")]

    async def close(self) -> None:
        """Nothing is open."""


def _refusal(reply: Reply) -> DeliveryError | None:
    """What is raised where nothing was sent."""
    match reply:
        case Reply.UNAVAILABLE:
            return Unavailable("busy")
        case Reply.THROTTLED:
            return Throttled("slower", retry_after=2.0)
        case Reply.REJECTED:
            return Rejected("no such user")
        case Reply.MISCONFIGURED:
            return Misconfigured("wrong password")
        case Reply.NOTHING:
            return OutcomeUnknown("the reply was lost")
        case Reply.SENT | Reply.SLOW | Reply.LOST | Reply.HANGS | Reply.BREAKS:
            return None
