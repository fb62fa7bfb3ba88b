"""One message's flow with a send slot: claimed a little ahead of its slot, and sent in it."""

from contextlib import suppress

from tidings.delivery.errors import MalformedNotification
from tidings.delivery.outcome import Claim, Claimed, Outcome, Released
from tidings.delivery.ports import Delivery
from tidings.worker.flow import NOT_NOW, Flow, SendResult, Work
from tidings.worker.send_slots import NoSlot, SendSlot


class SlottedFlow:
    """The steps of a flow, for one message that waits for its slot before it is sent.

    Args:
        slot: Taken for the send, and released as soon as it is no longer needed.
    """

    __slots__ = ("_flow", "_slot")

    def __init__(self, flow: Flow, slot: SendSlot) -> None:
        self._flow = flow
        self._slot = slot

    async def handle(self, delivery: Delivery) -> Outcome | Released | None:
        """Like `Flow.handle`; `NOT_NOW` if nothing more is sent."""
        try:
            return await self._flow.handle(delivery, self)
        except NoSlot:
            return NOT_NOW

    async def dead_letter_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """Settle it without a slot."""
        self._slot.release()
        await self._flow.dead_letter_unread(delivery, error)

    async def claim(self, work: Work) -> Claim:
        """Claim, and wait for the slot; if the lease might not last for the send, claim again.

        Raises:
            NoSlot: Nothing is sent now.
        """
        claim = await self._flow.claim(work)
        if isinstance(claim, Claimed):
            try:
                if await self._slot.take() > self._flow.lease_margin / 2:
                    claim = await self._flow.claim(work)
            except BaseException:  # no provider was called: the outcome is known
                with suppress(Exception):
                    why = NOT_NOW.failure.message
                    await self._flow.ledger.release(work.attempt, work.token, why)
                raise
        if not isinstance(claim, Claimed):
            self._slot.release()
        return claim

    async def send(self, work: Work, claim: Claimed) -> SendResult:
        """Send, and release the slot; but keep it if no other message should be sent now."""
        result = await self._flow.send(work, claim, self._slot.release_slot)
        if not isinstance(result.outcome, Released):
            self._slot.release()
        return result
