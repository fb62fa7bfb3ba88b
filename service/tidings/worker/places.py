"""Sends at once: a place for each, and messages claimed meanwhile so that no place waits for the ledger."""

import asyncio
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Final

MARGIN: Final = 2.0
"""Claims come in batches: so many times more than fall due on average are claimed ahead."""
LONGEST_CLAIM: Final = 1.0
"""Seconds; what takes longer waits out an outage, which says nothing about the next claim."""
MEMORY: Final = 0.05
"""Share of the newest in what is known of how long claims and sends take."""


class NoTurn(Exception):  # named for what happened to the message
    """Nothing more is sent just now; whoever asked is to give back what it has claimed."""


class Places:
    """The places of one channel.

    What is claimed ahead and not sent is what a crash leaves in doubt, so it is no more than falls
    due while a claim takes: none to speak of where sends are slow, and never more than half as many
    as there are places.

    Args:
        most: Sends at once.
        freed: Called whenever somebody else may begin.
        clock: Seconds.
    """

    def __init__(
        self, most: int, freed: Callable[[], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._most = most
        self._freed = freed
        self.clock = clock
        self._free = asyncio.Semaphore(most)
        self._claiming = 0.0
        self._sending = 0.0
        self.begun = 0
        """Messages that are claimed, wait for a place or have one."""
        self.taken = 0
        """Places in use."""
        self.closed = False
        """Whether nobody is given one any more: the channel is paused, or its worker stops."""

    @property
    def ahead(self) -> int:
        """How many may be claimed beyond those that have a place; none until a send is known."""
        if not self._sending:
            return 0
        return min(self._most // 2, ceil(MARGIN * self._most * self._claiming / self._sending))

    def room(self, *, ahead: bool) -> bool:
        """Whether another message may be begun.

        Args:
            ahead: Whether it may have to wait for its place.
        """
        return self.begun < self._most + (self.ahead if ahead else 0)

    def begin(self) -> "Place":
        """Begin a message."""
        self.begun += 1
        return Place(self)

    async def take(self, claiming: float) -> None:
        """Wait for a place, in the order of asking.

        Args:
            claiming: Seconds that the claim took.

        Raises:
            NoTurn: They are closed.
        """
        self._claiming = _blended(self._claiming, min(claiming, LONGEST_CLAIM))
        await self._free.acquire()
        if self.closed:
            self._free.release()
            raise NoTurn
        self.taken += 1

    def give_back(self, sending: float) -> None:
        """Somebody else's place now; `sending` is how many seconds the send took."""
        self._sending = _blended(self._sending, sending)
        self.taken -= 1
        self._free.release()

    def end(self) -> None:
        """Somebody else may begin."""
        self.begun -= 1
        self._freed()


class Place:
    """One message's: begun without, taken for its send, released once."""

    __slots__ = ("_clock", "_held", "_places", "_since", "_taken")

    def __init__(self, places: Places) -> None:
        self._places = places
        self._clock = places.clock
        self._since = self._clock()
        self._taken = False
        self._held = True

    async def take(self) -> float:
        """Wait until this message may be sent; returns for how many seconds it had to.

        Raises:
            NoTurn: It may not any more.
        """
        asked = self._clock()
        await self._places.take(asked - self._since)
        self._taken, self._since = True, self._clock()
        return self._since - asked

    def release(self) -> None:
        """The message needs no place, or none any more; again does nothing."""
        if not self._held:
            return
        self._held = False
        if self._taken:
            self._places.give_back(self._clock() - self._since)
        self._places.end()


def _blended(known: float, newest: float) -> float:
    return known + MEMORY * (newest - known) if known else newest
