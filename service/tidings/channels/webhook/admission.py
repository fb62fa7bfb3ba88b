"""Admission control: keeps a slow receiver from using up the concurrency slots of all webhooks.

`receivers` decides which webhook may be sent; this module waits for it.
"""

import asyncio
from bisect import insort
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from tidings.channels.webhook.receivers import (
    Answer,
    Decision,
    Receivers,
    origin_of,
)
from tidings.channels.webhook.requests import ReceiverRequest
from tidings.delivery.errors import OutcomeUnknown, Postponed, Unavailable


@dataclass(slots=True, order=True)
class _WaitingWebhook:
    """A webhook that waits, for an untested receiver."""

    rank: int
    number: int
    origin: str = field(compare=False)
    size: int = field(compare=False)
    request: "asyncio.Future[ReceiverRequest]" = field(compare=False)


class Admission:
    """Admits webhooks to their receivers.

    Args:
        provider: Named in errors.
        receivers: Decides.
        waiting: How many may wait at once without a concurrency slot.
    """

    def __init__(self, provider: str, receivers: Receivers, waiting: int) -> None:
        self._provider = provider
        self._receivers = receivers
        self._most = waiting
        self._waiting: list[_WaitingWebhook] = []
        self._numbers = count()

    @asynccontextmanager
    async def admit(
        self, url: str, size: int, release_slot: Callable[[], None], rank: int = 0
    ) -> AsyncIterator[None]:
        """Wait until a webhook to `url` may be sent, and record its end: without an exception, the receiver responded.

        Args:
            size: Bytes to send.
            release_slot: Called once the webhook needs no concurrency slot.
            rank: A smaller one is admitted sooner.

        Raises:
            Postponed: It may not be sent now.
        """
        origin = origin_of(url)
        request = self._now(origin, size) or await self._later(origin, size, release_slot, rank)
        if request.aside:
            release_slot()
        late = asyncio.get_running_loop().call_later(
            self._receivers.soon, self._late, request, release_slot
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
            self._receivers.end(request, answer)
            self._admit_waiting()

    def _now(self, origin: str, size: int) -> ReceiverRequest | None:
        """Begin the request; None if it must wait."""
        match self._receivers.decide(origin, size):
            case Decision.SEND | Decision.SEND_ASIDE | Decision.TRY | Decision.PROBE as decision:
                return self._receivers.begin(origin, size, decision)
            case Decision.POSTPONE:
                raise self._postponed(origin)
            case Decision.WAIT:
                return None

    async def _later(
        self, origin: str, size: int, release_slot: Callable[[], None], rank: int
    ) -> ReceiverRequest:
        if len(self._waiting) < self._most:
            release_slot()
        elif self._receivers.full:
            raise self._postponed(origin)
        request: asyncio.Future[ReceiverRequest] = asyncio.get_running_loop().create_future()
        waiting = _WaitingWebhook(rank, next(self._numbers), origin, size, request)
        insort(self._waiting, waiting)
        try:
            async with asyncio.timeout(self._receivers.soon):
                return await request
        except TimeoutError:
            self._withdraw(request)
            raise self._postponed(origin) from None
        except asyncio.CancelledError:
            self._withdraw(request)
            raise
        finally:
            self._waiting.remove(waiting)

    def _withdraw(self, request: "asyncio.Future[ReceiverRequest]") -> None:
        """End a request that was admitted at the moment its waiting ended."""
        if not request.cancelled() and request.exception() is None:
            self._receivers.end(request.result(), Answer.WITHDRAWN)
            self._admit_waiting()

    def _late(self, request: ReceiverRequest, release_slot: Callable[[], None]) -> None:
        if self._receivers.late(request):
            release_slot()
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        """Admit waiting webhooks, in order."""
        for waiting in list(self._waiting):
            if waiting.request.done():
                continue
            try:
                request = self._now(waiting.origin, waiting.size)
            except Postponed as error:
                waiting.request.set_exception(error)
            else:
                if request is not None:
                    waiting.request.set_result(request)

    def _postponed(self, origin: str) -> Postponed:
        # No number in the message: similar failures share a fingerprint.
        postponed = self._receivers.postponed(origin)
        if postponed.answers:
            message = "the receiver is slow, and enough webhooks wait for it; not sent"
        else:
            message = (
                "the receiver, or other untested receivers, did not respond to webhooks; not sent"
            )
        return Postponed(
            message,
            provider=self._provider,
            wait=postponed.wait,
            answers=postponed.answers,
            no_later=postponed.no_later,
        )
