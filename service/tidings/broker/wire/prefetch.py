"""How many messages of a queue a channel holds, whatever is asked for: the broker counts by consumer.

A consumer's prefetch can't be changed (RabbitMQ applies `basic.qos` to consumers that begin after it), and what a
cancelled one left unacknowledged counts for no other. So less is asked for by cancelling them all and leaving room for
what they left, and more by one consumer more, or by one in their place where what they left is soon settled: a
quorum queue settles by consumer, so a second one costs it rate.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiormq.abc import AbstractChannel

from tidings.broker.wire.settlement import Settlement

MOMENT: Final = 0.2
"""Seconds for which nothing is asked for while what is in hand is settled."""


class Prefetch:
    """The consumers of one queue on a channel of its own.

    Args:
        begin: Has a consumer begin with a prefetch of so many; returns its tag.
        busy: How many have to be unfinished for all to have work.
        timeout: Seconds to wait for the broker's answers.
        clock: That of the deliveries.
    """

    def __init__(
        self,
        channel: AbstractChannel,
        settlement: Settlement,
        begin: Callable[[int], Awaitable[str]],
        busy: int,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._settlement = settlement
        self._begin = begin
        self._busy = busy
        self._timeout = timeout
        self._clock = clock
        self._asked = 0
        self._consumers: list[str] = []
        self._last_left = 0

    async def ask(self, limit: int, most: int) -> bool:
        """Ask for at most `limit`, of which with all that is unsettled there are never more than `most`.

        Returns:
            Whether there is more to ask for once some are settled.
        """
        if self._asked > limit or self._asked + self._left > most:
            await self.cancel()
        missing = min(limit, most) - self._asked
        if 0 < self._asked <= missing and not self._left:
            await self._make_room()  # of which half at least is there: enough to ask for again
            missing = min(limit, most)
        room = min(missing, most - self._asked - self._left)
        if room > 0 and room * 2 >= missing:  # each at least halves it, so that consumers stay few
            await self._ask_for(room)
        return room < missing

    async def cancel(self) -> None:
        """Ask for nothing; what was handed on stays ours."""
        self._settlement.idle.limit(0, self._clock())
        while self._consumers:
            await self._channel.basic_cancel(self._consumers.pop(), timeout=self._timeout)
        self._asked = 0
        self._last_left = self._settlement.idle.last_tag

    async def _make_room(self) -> None:
        """Have one consumer for all of it, if it takes but a moment."""
        await self.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(MOMENT):
                while self._left:
                    self._settlement.flushed.clear()
                    await self._settlement.flushed.wait()

    @property
    def _left(self) -> int:
        """How many are unsettled that no consumer counts any more."""
        return self._settlement.unsettled(self._last_left)

    async def _ask_for(self, more: int) -> None:
        self._settlement.spare(max(0, self._asked + more - self._busy))
        self._consumers.append(await self._begin(more))
        self._asked += more
        self._settlement.idle.limit(self._asked, self._clock())
