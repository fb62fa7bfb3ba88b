"""Ends the process at a chosen step of a message, so that tests see what a crash there means.

Nothing here runs unless `TIDINGS_FAILPOINTS` is set: the parts with failpoints in them are other
classes, chosen once when the process starts, and the usual ones know nothing of them.
"""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, Self

import structlog

from tidings.broker.publisher import Headers, Publisher
from tidings.broker.wire.settlement import ACKED_WITHIN
from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.outcome import Claim, Outcome, Sent
from tidings.delivery.ports import Channel, ClaimRequest, Delivery, Finding, Record, SendRequest
from tidings.ledger.ledger import Ledger
from tidings.settings import LedgerSettings
from tidings.worker.settle import Settler

log = structlog.get_logger(__name__)

STEPS: Final = MappingProxyType(
    {
        "before-claim": "the message is read, the ledger not asked",
        "after-claim": "the claim is committed",
        "during-send": "the provider is being asked",
        "after-send": "the provider has answered, nothing is recorded",
        "after-record": "the attempt is committed, the message not settled",
        "before-republish": "it is about to be passed on to a tier or the dead letters",
        "after-republish": "that is confirmed, the message not acknowledged",
        "before-ack": "it was sent and recorded, and is about to be acknowledged",
        "after-ack": "the acknowledgement has gone out",
    }
)
"""Every step at which a process can be made to end, and what is true then."""

LATER: Final = MappingProxyType({"during-send": 0.005, "after-ack": ACKED_WITHIN + 0.02})
"""Seconds from the moment a step is reached to the middle of what it means."""

_FORM: Final = re.compile(r"(?P<step>[a-z-]+)=kill(?:@(?P<visit>[1-9]\d{0,8}))?")


class Failpoints:
    """Where this process ends, and by whose visit.

    Args:
        kills: By step, the visit (the first is 1) that ends the process with SIGKILL.
    """

    def __init__(self, kills: Mapping[str, int]) -> None:
        self._kills = kills
        self._visits: Counter[str] = Counter()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `after-send=kill@17 before-ack=kill`; None where there is nothing to read.

        Raises:
            ConfigurationError: There is no such step, or it is written in another way.
        """
        words = text.replace(",", " ").split()
        return cls(dict(map(_read, words))) if words else None

    def reach(self, step: str) -> None:
        """A message has come so far; end the process where it is to end here."""
        if step not in self._kills:
            return
        self._visits[step] += 1
        if self._visits[step] == self._kills[step]:
            log.warning("failpoint: ending by SIGKILL", step=step, visit=self._visits[step])
            _kill(LATER.get(step, 0))


def _read(word: str) -> tuple[str, int]:
    match = _FORM.fullmatch(word)
    if match is None or match["step"] not in STEPS:
        raise ConfigurationError(
            f"TIDINGS_FAILPOINTS: {word!r} is not a failpoint: write STEP=kill or STEP=kill@17, "
            f"with one of the steps {', '.join(STEPS)}; it is for tests only"
        )
    return match["step"], int(match["visit"] or 1)


def _kill(seconds: float) -> None:
    end = partial(os.kill, os.getpid(), signal.SIGKILL)
    if seconds:
        asyncio.get_running_loop().call_later(seconds, end)
    else:
        end()


class LedgerWithFailpoints(Ledger):
    """The ledger, around claiming and recording."""

    def __init__(self, settings: LedgerSettings, *, actor: str, failpoints: Failpoints) -> None:
        super().__init__(settings, actor=actor)
        self._failpoints = failpoints

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim."""
        self._failpoints.reach("before-claim")
        claim = await super().claim(request)
        self._failpoints.reach("after-claim")
        return claim

    async def record(self, record: Record) -> bool:
        """Record."""
        recorded = await super().record(record)
        self._failpoints.reach("after-record")
        return recorded


class ChannelWithFailpoints:
    """A channel, around sending."""

    def __init__(self, channel: Channel, failpoints: Failpoints) -> None:
        self.name = channel.name
        self.template_parts = channel.template_parts
        self._channel = channel
        self._failpoints = failpoints

    async def send(self, request: SendRequest) -> Sent:
        """Send."""
        self._failpoints.reach("during-send")
        sent = await self._channel.send(request)
        self._failpoints.reach("after-send")
        return sent

    async def check(self) -> Sequence[Finding]:
        """Examine."""
        return await self._channel.check()

    async def close(self) -> None:
        """Give back connections."""
        await self._channel.close()


class PublisherWithFailpoints(Publisher):
    """The publisher, around passing on what failed."""

    def __init__(self, publisher: Publisher, failpoints: Failpoints) -> None:
        self._publisher = publisher
        self._failpoints = failpoints

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Headers,
        content_type: str = "application/json",
    ) -> None:
        """Publish."""
        self._failpoints.reach("before-republish")
        await self._publisher.publish(exchange, routing_key, body, headers, content_type)
        self._failpoints.reach("after-republish")


class SettlerWithFailpoints(Settler):
    """The settler, around acknowledging."""

    def __init__(self, publisher: Publisher, *, worker: str, failpoints: Failpoints) -> None:
        super().__init__(PublisherWithFailpoints(publisher, failpoints), worker=worker)
        self._failpoints = failpoints

    async def settle(self, delivery: Delivery, attempt: Attempt, outcome: Outcome) -> None:
        """Settle."""
        if isinstance(outcome, Sent):
            self._failpoints.reach("before-ack")
        await super().settle(delivery, attempt, outcome)
        self._failpoints.reach("after-ack")
