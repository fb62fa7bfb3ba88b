"""Step seven, ack: last, and many at a time.

A channel's deliveries carry rising tags. What is finished is acknowledged with one frame up to the
first unfinished tag. What finished behind a slow one is acknowledged singly when that takes long, or
when it would hold up the lane; not at once, since each ack is an entry of its own in the log of a
quorum queue.
"""

import asyncio
from contextlib import suppress
from typing import Final, Self

import structlog
from aiormq.abc import AbstractChannel

from tidings.broker.amqp import CONNECTION_ERRORS, explain

log = structlog.get_logger(__name__)

INTERVAL: Final = 0.004
"""Seconds between two acks."""
PATIENCE: Final = 0.1
"""Seconds between two looks for what finished behind a slow one; who is there twice is acknowledged."""
ACKED_WITHIN: Final = 2 * (PATIENCE + INTERVAL)
"""Seconds after which an ack is on its way, whoever is slow."""


class FinishedTags:
    """Which deliveries are finished and not yet acknowledged. Pure.

    RabbitMQ refuses an ack for a tag it no longer holds, `multiple` or not, and closes the
    channel: each tag is named at most once.
    """

    def __init__(self) -> None:
        self._through = 0
        self._finished: set[int] = set()
        self._singled: set[int] = set()
        self._behind_a_gap: set[int] = set()

    def add(self, tag: int) -> None:
        """This delivery is finished."""
        self._finished.add(tag)

    def settled(self, tag: int) -> None:
        """This delivery was settled in another way than by an ack."""
        self._singled.add(tag)

    @property
    def left(self) -> int:
        """How many are still to be acknowledged."""
        return len(self._finished)

    def take_prefix(self) -> int:
        """The tag to acknowledge with everything before it; 0 where there is none."""
        last = 0
        while (tag := self._through + 1) in self._finished or tag in self._singled:
            self._through = tag
            if tag in self._finished:
                last = tag
            self._finished.discard(tag)
            self._singled.discard(tag)
        return last

    def take_singles(self, *, all_of_them: bool = False) -> list[int]:
        """Tags to acknowledge each by itself: those that were behind a gap the last time too."""
        taken = self._finished if all_of_them else self._finished & self._behind_a_gap
        singles = sorted(taken)
        self._singled.update(singles)
        self._finished.difference_update(singles)
        self._behind_a_gap = set(self._finished)
        return singles


class Settlement:
    """Coalesces the acks of one consumer channel."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._look_at = 0.0
        self._spare = 0
        self._tags = FinishedTags()
        self._given_back: list[int] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._flush_until_closing(), name="settle")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what is left. Where the channel is gone the broker delivers it again."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task  # not cancelled: a tag it has taken is nobody else's to acknowledge
        await self._flush(everything=True)

    @property
    def alive(self) -> bool:
        """Whether an ack would still reach the broker."""
        return not self._channel.is_closed

    def spare(self, deliveries: int) -> None:
        """So many that are finished may wait behind a slow one without keeping others from working."""
        self._spare = deliveries
        self._wake.set()

    def ack(self, tag: int) -> None:
        """Acknowledge soon."""
        self._tags.add(tag)
        self._wake.set()

    def give_back(self, tag: int) -> None:
        """Have it delivered again soon, counted against the queue's delivery limit."""
        self._given_back.append(tag)
        self._wake.set()

    async def _flush_until_closing(self) -> None:
        while self.alive and not self._closing:
            await self._something_to_do()
            await asyncio.sleep(INTERVAL)
            self._wake.clear()
            await self._flush()

    async def _something_to_do(self) -> None:
        """Wait for another ack, or until it is time to look for what waits behind a slow one."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_at if self._tags.left else None):
                await self._wake.wait()

    async def _flush(self, *, everything: bool = False) -> None:
        if not self.alive:
            return
        try:
            while self._given_back:
                tag = self._given_back.pop()
                self._tags.settled(tag)
                await self._channel.basic_nack(tag, requeue=True, wait=False)
            if prefix := self._tags.take_prefix():
                await self._channel.basic_ack(prefix, multiple=True, wait=False)
            for tag in self._singles(everything=everything):
                await self._channel.basic_ack(tag, wait=False)
        except CONNECTION_ERRORS as error:
            log.info(
                "acks lost with their channel: those messages come again", error=explain(error)
            )

    def _singles(self, *, everything: bool) -> list[int]:
        if everything or self._tags.left > self._spare:
            return self._tags.take_singles(all_of_them=True)
        if (now := asyncio.get_running_loop().time()) < self._look_at:
            return []
        self._look_at = now + PATIENCE
        return self._tags.take_singles()
