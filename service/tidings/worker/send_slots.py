"""Sends at once: a slot for each, and messages claimed meanwhile so that no slot waits for the ledger."""

import asyncio
from collections import deque
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


class NoSlot(Exception):  # named for what happened to the message
    """Nothing more is sent just now; whoever asked is to give back what it has claimed."""


class SendSlots:
    """The slots of one channel.

    What is claimed ahead and not sent is what a crash leaves in doubt, so it is no more than falls
    due while a claim takes: none to speak of where sends are slow, and never more than half as many
    as there are slots.

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
        self._turns: deque[asyncio.Future[None]] = deque()
        """Who waits for a slot, while there is none."""
        self._claiming = 0.0
        self._sending = 0.0
        self.begun = 0
        """Messages that are claimed, wait for a slot or have one."""
        self.taken = 0
        """Slots in use."""
        self.aside = 0
        """Messages that are being sent and have given their slot away."""
        self.closed = False
        """Whether nobody is given one any more: the channel is paused, or its worker stops."""

    @property
    def ahead(self) -> int:
        """How many may be claimed beyond those that have a slot; none until a send is known."""
        if not self._sending:
            return 0
        return min(self._most // 2, ceil(MARGIN * self._most * self._claiming / self._sending))

    def room(self, *, ahead: bool) -> bool:
        """Whether another message may be begun.

        Args:
            ahead: Whether it may have to wait for its slot.
        """
        return self.begun < self._most or (ahead and self.begun < self._most + self.ahead)

    def begin(self) -> "SendSlot":
        """Begin a message."""
        self.begun += 1
        return SendSlot(self)

    async def take(self, claiming: float) -> None:
        """Wait for a slot, in the order of asking.

        Args:
            claiming: Seconds that the claim took.

        Raises:
            NoSlot: They are closed.
        """
        self._claiming = _blended(self._claiming, min(claiming, LONGEST_CLAIM))
        if self.taken < self._most:
            self.taken += 1
        else:
            await self._turn()
        if self.closed:
            self._hand_on()
            raise NoSlot

    async def _turn(self) -> None:
        """Wait until somebody hands a slot on."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was handed on in that very moment
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        """A slot is for whoever has waited longest, or free."""
        while self._turns:
            if not (turn := self._turns.popleft()).done():
                turn.set_result(None)
                return
        self.taken -= 1

    def give_back(self, sending: float) -> None:
        """Somebody else's slot now; `sending` is how many seconds the send took."""
        self._sending = _blended(self._sending, sending)
        self._hand_on()

    def end(self) -> None:
        """Somebody else may begin."""
        self.begun -= 1
        self._freed()

    def come_back(self) -> None:
        """A message that gave its slot away needs none any more."""
        self.aside -= 1
        self._freed()


class SendSlot:
    """One message's: begun without, taken for its send, released once."""

    __slots__ = ("_aside", "_clock", "_held", "_since", "_slots", "_taken")

    def __init__(self, slots: SendSlots) -> None:
        self._slots = slots
        self._clock = slots.clock
        self._since = self._clock()
        self._taken = False
        self._held = True
        self._aside = False

    async def take(self) -> float:
        """Wait until this message may be sent; returns for how many seconds it had to.

        Raises:
            NoSlot: It may not any more.
        """
        began = self._clock()
        await self._slots.take(began - self._since)
        self._taken, self._since = True, self._clock()
        return self._since - began

    def release_slot(self) -> None:
        """Somebody else's slot now, though this message goes on being sent; again does nothing."""
        if self._held:
            self._aside = True
            self._slots.aside += 1
            self._free()

    def release(self) -> None:
        """The message needs no slot, or none any more; again does nothing."""
        if self._aside:
            self._aside = False
            self._slots.come_back()
        self._free()

    def _free(self) -> None:
        if not self._held:
            return
        self._held = False
        if self._taken:
            self._slots.give_back(self._clock() - self._since)
        self._slots.end()


def _blended(known: float, newest: float) -> float:
    return known + MEMORY * (newest - known) if known else newest
