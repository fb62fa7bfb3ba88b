"""`tidings worker` that ends itself at a chosen step of a message, so that tests see what a crash there means.

`FAILPOINTS="after-send=kill@17 before-claim=kill" python -m tests.chaos.failpoints worker` starts it.
"""

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Self

import structlog
import typer
from tests.doubles.ledger import ChangedLedger

from tidings.broker.wire.settlement import INTERVAL, PATIENCE
from tidings.cli.roles import start
from tidings.delivery.outcome import Claim, Sent
from tidings.delivery.ports import (
    Channel,
    ClaimRequest,
    Finding,
    Ledger,
    Publisher,
    Record,
    SendRequest,
)
from tidings.worker.parts import Parts

log = structlog.get_logger(__name__)

VARIABLE: Final = "FAILPOINTS"
STEPS: Final = MappingProxyType(
    {
        "before-claim": "the message is read, the ledger not asked",
        "after-claim": "the claim is committed",
        "during-send": "the provider is being asked",
        "after-send": "the provider has answered, nothing is recorded",
        "after-record": "the attempt is committed, the message not settled",
        "before-republish": "it is about to be passed on to a retry queue or the dead letters",
        "after-republish": "that is confirmed, the message not acknowledged",
        "before-ack": "it was sent and recorded, and is about to be acknowledged",
        "after-ack": "the acknowledgement has gone out",
    }
)
"""Every step at which a process can be made to end, and what is true then."""

ACKED_WITHIN: Final = 2 * (PATIENCE + INTERVAL)
"""Seconds after which an ack is on its way, however slow its neighbours are."""
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
    def parse(cls, text: str) -> Self:
        """Read `after-send=kill@17 before-ack=kill`.

        Raises:
            ValueError: There is no such step, or it is written in another way.
        """
        return cls(dict(map(_read, text.split())))

    @property
    def parts(self) -> Parts:
        """A worker's parts, with the steps around them."""
        return Parts(
            ledger=lambda ledger: ChangedLedger(ledger, self._claim, self._record),
            channel=lambda channel: ChannelWithFailpoints(channel, self),
            publisher=lambda publisher: PublisherWithFailpoints(publisher, self),
        )

    def reach(self, step: str) -> None:
        """A message has come so far; end the process where it is to end here."""
        if step not in self._kills:
            return
        self._visits[step] += 1
        if self._visits[step] == self._kills[step]:
            log.warning("failpoint: ending by SIGKILL", step=step, visit=self._visits[step])
            _kill(LATER.get(step, 0))

    async def _claim(self, ledger: Ledger, request: ClaimRequest) -> Claim:
        self.reach("before-claim")
        claim = await ledger.claim(request)
        self.reach("after-claim")
        return claim

    async def _record(self, ledger: Ledger, record: Record) -> bool:
        recorded = await ledger.record(record)
        self.reach("after-record")
        if recorded and isinstance(record.outcome, Sent):  # what follows at once is its ack
            self.reach("before-ack")
            self.reach("after-ack")
        return recorded


class ChannelWithFailpoints:
    """A channel, with steps around sending."""

    def __init__(self, channel: Channel, failpoints: Failpoints) -> None:
        self.name = channel.name
        self.template_parts = channel.template_parts
        self._channel = channel
        self._failpoints = failpoints

    async def send(self, request: SendRequest) -> Sent:
        self._failpoints.reach("during-send")
        sent = await self._channel.send(request)
        self._failpoints.reach("after-send")
        return sent

    async def check(self) -> Sequence[Finding]:
        return await self._channel.check()

    async def close(self) -> None:
        await self._channel.close()


@dataclass(frozen=True)
class PublisherWithFailpoints:
    """A publisher, with steps around passing on what failed."""

    publisher: Publisher
    failpoints: Failpoints

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Mapping[str, str | int],
        content_type: str = "application/json",
    ) -> None:
        self.failpoints.reach("before-republish")
        await self.publisher.publish(exchange, routing_key, body, headers, content_type)
        self.failpoints.reach("after-republish")


def _read(word: str) -> tuple[str, int]:
    match = _FORM.fullmatch(word)
    if match is None or match["step"] not in STEPS:
        raise ValueError(
            f"{word!r} is not a failpoint: write STEP=kill or STEP=kill@17, with one of {', '.join(STEPS)}"
        )
    return match["step"], int(match["visit"] or 1)


def _kill(seconds: float) -> None:
    end = partial(os.kill, os.getpid(), signal.SIGKILL)
    if seconds:
        asyncio.get_running_loop().call_later(seconds, end)
    else:
        end()


def main() -> None:
    """The role that is named, a worker's parts with failpoints around them."""
    try:
        start(sys.argv[1:], parts=Failpoints.parse(os.environ[VARIABLE]).parts)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


if __name__ == "__main__":
    main()
