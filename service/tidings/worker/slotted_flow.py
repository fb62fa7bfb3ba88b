"""One message's turn: claimed a little ahead of its place, and sent in it."""

from contextlib import suppress

from tidings.delivery.errors import MalformedNotification
from tidings.delivery.outcome import Claim, Claimed, Outcome, Paused
from tidings.delivery.ports import Delivery
from tidings.worker.flow import NOT_NOW, Flow, SendResult, Work
from tidings.worker.send_slots import NoTurn, Place


class Turn:
    """The steps of a flow, between which one message waits for its place and leaves it.

    Args:
        place: Begun; taken for the send, and released as soon as it is not needed any more.
    """

    __slots__ = ("_flow", "_place")

    def __init__(self, flow: Flow, place: Place) -> None:
        self._flow = flow
        self._place = place

    async def handle(self, delivery: Delivery) -> Outcome | Paused | None:
        """As `Flow.handle`; `NOT_NOW` if nothing more is sent."""
        try:
            return await self._flow.handle(delivery, self)
        except NoTurn:
            return NOT_NOW

    async def dead_letter_unread(self, delivery: Delivery, error: MalformedNotification) -> None:
        """It needs no place."""
        self._place.release()
        await self._flow.dead_letter_unread(delivery, error)

    async def claim(self, work: Work) -> Claim:
        """Claim, and wait for the place; a claim whose lease might not last for the send is made again.

        Raises:
            NoTurn: Nothing is sent just now.
        """
        claim = await self._flow.claim(work)
        if isinstance(claim, Claimed):
            try:
                if await self._place.take() > self._flow.lease_margin / 2:
                    claim = await self._flow.claim(work)
            except BaseException:  # no provider was asked: not to be taken for sent
                with suppress(Exception):
                    why = NOT_NOW.failure.message
                    await self._flow.ledger.release(work.attempt, work.token, why)
                raise
        if not isinstance(claim, Claimed):
            self._place.release()
        return claim

    async def send(self, work: Work, claim: Claimed) -> SendResult:
        """Send; the place is another's afterwards, unless another should not try just now."""
        tried = await self._flow.send(work, claim, self._place.give_way)
        if not isinstance(tried.outcome, Paused):
            self._place.release()
        return tried
