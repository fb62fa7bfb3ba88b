"""Keeps a receiver that doesn't answer from taking the places of everybody else's webhooks.

`receivers` decides who may be asked; here is waited for it.
"""

import asyncio
from bisect import insort
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from tidings.channels.webhook.receivers import (
    Answer,
    Receivers,
    Verdict,
    origin,
)
from tidings.channels.webhook.requests import Turn
from tidings.delivery.errors import OutcomeUnknown, Postponed, Unavailable


@dataclass(slots=True, order=True)
class _Waiting:
    """A webhook for a receiver of which nothing is known yet."""

    rank: int
    number: int
    where: str = field(compare=False)
    size: int = field(compare=False)
    turn: "asyncio.Future[Turn]" = field(compare=False)


class Turns:
    """Turns to ask receivers.

    Args:
        provider: Named in errors.
        receivers: Decides.
        waiting: How many at once may wait for one without a place.
    """

    def __init__(self, provider: str, receivers: Receivers, waiting: int) -> None:
        self._provider = provider
        self._receivers = receivers
        self._most = waiting
        self._waiting: list[_Waiting] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(
        self, url: str, size: int, release_slot: Callable[[], None], rank: int = 0
    ) -> AsyncIterator[None]:
        """A turn to ask the receiver at `url`: it has answered, where nothing is raised inside.

        Args:
            size: Bytes to send.
            release_slot: Called once no place is needed any more.
            rank: The smaller, the sooner among those who wait.

        Raises:
            Postponed: It may not be asked now.
        """
        where = origin(url)
        turn = self._now(where, size) or await self._later(where, size, release_slot, rank)
        if turn.aside:
            release_slot()
        late = asyncio.get_running_loop().call_later(
            self._receivers.soon, self._late, turn, release_slot
        )
        answer = Answer.WITHDRAWN
        try:
            yield
            answer = Answer.ANSWERED
        except (Unavailable, OutcomeUnknown):
            answer = Answer.UNANSWERED
            raise
        finally:
            late.cancel()
            self._receivers.end(turn, answer)
            self._let_in()

    def _now(self, where: str, size: int) -> Turn | None:
        """A turn, if there is one; None where it has to be waited for."""
        match self._receivers.verdict(where, size):
            case Verdict.ASK | Verdict.ASK_ASIDE | Verdict.TRY | Verdict.PROBE as verdict:
                return self._receivers.begin(where, size, verdict)
            case Verdict.PUT_OFF:
                raise self._deferred(where)
            case Verdict.WAIT:
                return None

    async def _later(
        self, where: str, size: int, release_slot: Callable[[], None], rank: int
    ) -> Turn:
        if len(self._waiting) < self._most:
            release_slot()
        elif self._receivers.full:
            raise self._deferred(where)
        turn: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(rank, next(self._numbers), where, size, turn)
        insort(self._waiting, waiting)
        try:
            async with asyncio.timeout(self._receivers.soon):
                return await turn
        except TimeoutError:
            self._give_back(turn)
            raise self._deferred(where) from None
        except asyncio.CancelledError:
            self._give_back(turn)
            raise
        finally:
            self._waiting.remove(waiting)

    def _give_back(self, turn: "asyncio.Future[Turn]") -> None:
        """A turn that came in the moment in which nobody waited for it any more."""
        if not turn.cancelled() and turn.exception() is None:
            self._receivers.end(turn.result(), Answer.WITHDRAWN)
            self._let_in()

    def _late(self, turn: Turn, release_slot: Callable[[], None]) -> None:
        if self._receivers.late(turn):
            release_slot()
        self._let_in()

    def _let_in(self) -> None:
        """Give turns to those who wait, in order."""
        for one in list(self._waiting):
            if one.turn.done():
                continue
            try:
                turn = self._now(one.where, one.size)
            except Postponed as error:
                one.turn.set_exception(error)
            else:
                if turn is not None:
                    one.turn.set_result(turn)

    def _deferred(self, where: str) -> Postponed:
        # No number in it: alike failures are one group among the dead letters.
        deferred = self._receivers.deferred(where)
        if deferred.answers:
            said = "the receiver answers slowly, and enough webhooks wait for it: it was not asked"
        else:
            said = (
                "the receiver, or others not known yet, left webhooks unanswered: it was not asked"
            )
        return Postponed(
            said,
            provider=self._provider,
            wait=deferred.wait,
            answers=deferred.answers,
            no_later=deferred.no_later,
        )
