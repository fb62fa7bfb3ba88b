"""Step seven, ack: last, and many at a time.

A channel's deliveries carry rising tags. What is finished is acknowledged with one frame up to the
first unfinished tag. What finished behind a slow one is acknowledged singly when that takes long, or
when it would hold up the lane; not at once, since each ack is an entry of its own in the log of a
quorum queue.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, Self

import structlog
from aiormq.abc import AbstractChannel

from tidings.broker.wire.amqp import CONNECTION_ERRORS, explain
from tidings.runtime.background import cancel_requested

log = structlog.get_logger(__name__)

INTERVAL: Final = 0.004
"""Seconds between two acks."""
PATIENCE: Final = 0.1
"""Seconds between two looks for what finished behind a slow one; who is there twice is acknowledged."""
HURRY: Final = 0.04
"""Likewise, where more have finished than there are to spare. Not at once: a batch that was recorded before the one
ahead of it waits for that a few milliseconds, and hundreds of acks cost RabbitMQ a tenth of its rate."""
IDLE_AFTER: Final = 0.5
"""Seconds without a delivery, and without an ack, after which a queue is known to be empty: the broker takes a
millisecond, and a process that is busy may look away for as long as this."""


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

    def unsettled(self, last: int) -> int:
        """How many of the deliveries up to this one the broker still holds for us."""
        return max(0, last - self._through) - sum(tag <= last for tag in self._singled)

    def take_prefix(self) -> int:
        """The tag to acknowledge with everything before it; 0 where there is none."""
        finished, singled, tag, last = self._finished, self._singled, self._through + 1, 0
        while tag in finished or tag in singled:
            if tag in finished:
                finished.remove(tag)
                last = tag
            if singled:
                singled.discard(tag)
            tag += 1
        self._through = tag - 1
        return last

    def take_singles(self, *, all_of_them: bool = False) -> list[int]:
        """Tags to acknowledge each by itself: those that were behind a gap the last time too."""
        taken = self._finished if all_of_them else self._finished & self._behind_a_gap
        singles = sorted(taken)
        self._singled.update(singles)
        self._finished.difference_update(singles)
        self._behind_a_gap = set(self._finished)
        return singles


class Idle:
    """When a consumer's queue was last known to be empty: the broker hands over at once whatever there is, as long
    as the consumer may have more. Pure.

    Args:
        tags: What was acknowledged.
    """

    def __init__(self, tags: FinishedTags) -> None:
        self._tags = tags
        self._limit = 0
        self._unchanged_since = 0.0
        self.last_tag = 0
        """That of the last delivery."""
        self._empty: float | None = None

    def limit(self, deliveries: int, now: float) -> None:
        """The consumer may hold so many from now on; 0: it takes none."""
        self._limit = deliveries
        self._unchanged_since = now

    def settled(self, now: float) -> None:
        """The broker was told to forget some: there may be room for others only since now."""
        self._unchanged_since = now

    def taken(self, tag: int, now: float) -> float | None:
        """A delivery has come; when its queue was last known to be empty."""
        if (
            now - self._unchanged_since >= IDLE_AFTER
            and self._tags.unsettled(self.last_tag) < self._limit
        ):
            self._empty = now
        self._unchanged_since = now
        self.last_tag = tag
        return self._empty


def _no_callback() -> None:
    """Does nothing: no callback is set."""


class Settlement:
    """Coalesces the acks of one consumer channel.

    Args:
        clock: That of the deliveries.
    """

    def __init__(self, channel: AbstractChannel, clock: Callable[[], float] = monotonic) -> None:
        self._channel = channel
        self._clock = clock
        self._looked_at = 0.0
        self._spare = 0
        self._tags = FinishedTags()
        self.idle = Idle(self._tags)
        """Whether there is anything more to take."""
        self.flushed = asyncio.Event()
        """Set after settlements are written to the broker; cleared by the task that waits for it."""
        self._rejected: list[int] = []
        self._requeued: list[int] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._failed = False
        self._ended: Callable[[], object] = _no_callback
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._flush_until_closing(), name="settle")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what is left. Where the channel is gone the broker delivers it again."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task  # not cancelled: no other task can acknowledge a tag that it has taken
        if not self._failed:
            await self._flush(everything=True)

    def on_end(self, call: Callable[[], object]) -> None:
        """Call this if settling ends unexpectedly: a channel that settles nothing is useless."""
        self._ended = call

    @property
    def alive(self) -> bool:
        """Whether an ack would still reach the broker."""
        return not (self._failed or self._channel.is_closed)

    def unsettled(self, last: int) -> int:
        """How many of the deliveries up to this one the broker still holds for us."""
        return self._tags.unsettled(last)

    def spare(self, deliveries: int) -> None:
        """So many that are finished may wait behind a slow one without keeping others from working."""
        self._spare = deliveries
        self._wake.set()

    def ack(self, tag: int) -> None:
        """Acknowledge soon."""
        self._tags.add(tag)
        self._wake.set()

    def reject(self, tag: int) -> None:
        """Have it delivered again soon, counted against the queue's delivery limit."""
        self._rejected.append(tag)
        self._wake.set()

    def requeue(self, tag: int) -> None:
        """Have it delivered again soon: nothing is wrong with it. RabbitMQ counts that only before 4.3."""
        self._requeued.append(tag)
        self._wake.set()

    async def _flush_until_closing(self) -> None:
        try:
            while self.alive and not self._closing:
                await self._something_to_do()
                await asyncio.sleep(INTERVAL)
                self._wake.clear()
                await self._flush()
        except (Exception, asyncio.CancelledError):
            self._failed = True
            if cancel_requested():
                raise
            log.exception("unexpected error: acks lost, messages are redelivered")
        finally:
            self._ended()

    async def _something_to_do(self) -> None:
        """Wait for another ack, or until it is time to look for what waits behind a slow one."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._look_again if self._tags.left else None):
                await self._wake.wait()

    async def _flush(self, *, everything: bool = False) -> None:
        if not self.alive:
            return
        self.idle.settled(self._clock())
        try:
            while self._rejected:
                tag = self._rejected.pop()
                self._tags.settled(tag)
                # Not a nack: from RabbitMQ 4.3 on that counts towards no delivery limit.
                await self._channel.basic_reject(tag, requeue=True, wait=False)
            while self._requeued:
                tag = self._requeued.pop(0)
                self._tags.settled(tag)
                await self._channel.basic_nack(tag, requeue=True, wait=False)
            if prefix := self._tags.take_prefix():
                await self._channel.basic_ack(prefix, multiple=True, wait=False)
            for tag in self._singles(everything=everything):
                await self._channel.basic_ack(tag, wait=False)
            self.flushed.set()
        except CONNECTION_ERRORS as error:
            log.info("acks lost with the channel: messages are redelivered", error=explain(error))

    def _singles(self, *, everything: bool) -> list[int]:
        if everything or not self._spare:
            return self._tags.take_singles(all_of_them=True)
        if (now := asyncio.get_running_loop().time()) < self._look_again:
            return []
        self._looked_at = now
        return self._tags.take_singles()

    @property
    def _look_again(self) -> float:
        return self._looked_at + (HURRY if self._tags.left > self._spare else PATIENCE)
