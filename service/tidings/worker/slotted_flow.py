"""One message's turn: claimed a little ahead of its slot, and sent in it."""

from contextlib import suppress

from tidings.delivery.errors import MalformedNotification
from tidings.delivery.outcome import Claim, Claimed, Outcome, Paused
from tidings.delivery.ports import Delivery
from tidings.worker.flow import NOT_NOW, Flow, SendResult, Work
from tidings.worker.send_slots import NoSlot, SendSlot


class SlottedFlow:
    """The steps of a flow, between which one message waits for its slot and leaves it.

    Args:
        slot: Begun; taken for the send, and released as soon as it is not needed any more.
    """

    __slots__ = ("_flow", "_slot")

    def __init__(self, flow: Flow, slot: SendSlot) -> None:
        self._flow = flow
        self._slot = slot

    async def handle(self, delivery: Delivery) -> Outcome | Paused | None:
        """As `Flow.handle`; `NOT_NOW` if nothing more is sent."""
        try:
            return await self._flow.handle(delivery, self)
        except NoSlot:
            return NOT_NOW

    async def dead_letter_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """It needs no slot."""
        self._slot.release()
        await self._flow.dead_letter_unread(delivery, error)

    async def claim(self, work: Work) -> Claim:
        """Claim, and wait for the slot; a claim whose lease might not last for the send is made again.

        Raises:
            NoSlot: Nothing is sent just now.
        """
        claim = await self._flow.claim(work)
        if isinstance(claim, Claimed):
            try:
                if await self._slot.take() > self._flow.lease_margin / 2:
                    claim = await self._flow.claim(work)
            except BaseException:  # no provider was asked: not to be taken for sent
                with suppress(Exception):
                    why = NOT_NOW.failure.message
                    await self._flow.ledger.release(work.attempt, work.token, why)
                raise
        if not isinstance(claim, Claimed):
            self._slot.release()
        return claim

    async def send(self, work: Work, claim: Claimed) -> SendResult:
        """Send; the slot is another's afterwards, unless another should not try just now."""
        tried = await self._flow.send(work, claim, self._slot.release_slot)
        if not isinstance(tried.outcome, Paused):
            self._slot.release()
        return tried
