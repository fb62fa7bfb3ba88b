"""Concurrent sends: a slot for each, and messages claimed ahead so that no slot waits for the ledger."""

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil
from time import monotonic
from typing import Final

MARGIN: Final = 2.0
"""Claims are made in batches: this factor of the average need is claimed ahead."""
LONGEST_CLAIM: Final = 1.0
"""Seconds; a longer claim waits for an outage to end, and doesn't predict the next one."""
MEMORY: Final = 0.05
"""Weight of the newest value in the moving averages of claim and send times."""


class NoSlot(Exception):  # named for what happened to the message
    """Nothing more is sent now; the claim is to be released."""


class SendSlots:
    """The slots of one channel.

    After a crash the outcome of messages claimed ahead is unknown, so no more are claimed than slots
    fall free during a claim: hardly any if sends are slow, and never more than half as many as there
    are slots.

    Args:
        most: Concurrent sends.
        freed: Called when another message may begin.
        clock: Seconds.
    """

    def __init__(
        self, most: int, freed: Callable[[], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self._most = most
        self._freed = freed
        self.clock = clock
        self._waiters: deque[asyncio.Future[None]] = deque()
        """Messages that wait for a slot."""
        self._claiming = 0.0
        self._sending = 0.0
        self.begun = 0
        """Messages being claimed, waiting for a slot or holding one."""
        self.taken = 0
        """Slots in use."""
        self.aside = 0
        """Messages being sent that have released their slot."""
        self.closed = False
        """Whether no slot is given any more: the channel is paused, or its worker stops."""

    @property
    def ahead(self) -> int:
        """How many messages may be claimed beyond those with a slot; 0 until a send was timed."""
        if not self._sending:
            return 0
        return min(self._most // 2, ceil(MARGIN * self._most * self._claiming / self._sending))

    def room(self, *, ahead: bool) -> bool:
        """Whether another message may be begun.

        Args:
            ahead: Whether it may be claimed ahead, and wait for its slot.
        """
        return self.begun < self._most or (ahead and self.begun < self._most + self.ahead)

    def begin(self) -> "SendSlot":
        """Begin a message."""
        self.begun += 1
        return SendSlot(self)

    async def take(self, claiming: float) -> None:
        """Wait for a slot, in order of arrival.

        Args:
            claiming: Seconds that the claim took.

        Raises:
            NoSlot: The slots are closed.
        """
        self._claiming = _moving_average(self._claiming, min(claiming, LONGEST_CLAIM))
        if self.taken < self._most:
            self.taken += 1
        else:
            await self._wait_for_slot()
        if self.closed:
            self._pass_on()
            raise NoSlot

    async def _wait_for_slot(self) -> None:
        """Wait until a slot is passed on."""
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was passed on at that moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Pass a slot to the message that has waited longest, or free it."""
        while self._waiters:
            if not (turn := self._waiters.popleft()).done():
                turn.set_result(None)
                return
        self.taken -= 1

    def give_back(self, sending: float) -> None:
        """Return a slot; `sending` is the duration of the send in seconds."""
        self._sending = _moving_average(self._sending, sending)
        self._pass_on()

    def end(self) -> None:
        """A message has ended: another may begin."""
        self.begun -= 1
        self._freed()

    def come_back(self) -> None:
        """A message that had released its slot early has ended."""
        self.aside -= 1
        self._freed()


class SendSlot:
    """One message's slot: taken for its send, released once."""

    __slots__ = ("_aside", "_clock", "_held", "_since", "_slots", "_taken")

    def __init__(self, slots: SendSlots) -> None:
        self._slots = slots
        self._clock = slots.clock
        self._since = self._clock()
        self._taken = False
        self._held = True
        self._aside = False

    async def take(self) -> float:
        """Wait until this message may be sent; returns the seconds it waited.

        Raises:
            NoSlot: The slots are closed.
        """
        began = self._clock()
        await self._slots.take(began - self._since)
        self._taken, self._since = True, self._clock()
        return self._since - began

    def release_slot(self) -> None:
        """Release the slot while this message is still being sent; idempotent."""
        if self._held:
            self._aside = True
            self._slots.aside += 1
            self._free()

    def release(self) -> None:
        """The message needs no slot any more; idempotent."""
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


def _moving_average(known: float, newest: float) -> float:
    return known + MEMORY * (newest - known) if known else newest
