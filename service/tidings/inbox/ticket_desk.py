"""Takes tickets, of many connections together, and clears away those that nobody took."""

import asyncio
import hashlib
import re
import secrets
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import structlog

from tidings.delivery.errors import TidingsError
from tidings.inbox.connection import CloseCode, LiveRefusal
from tidings.ledger.batcher import Batcher
from tidings.ledger.inbox.tickets import Ticket, Tickets
from tidings.runtime.background import BackgroundTask

log = structlog.get_logger(__name__)

LIFETIME: Final = timedelta(seconds=30)
PURGE_EVERY: Final = 60.0
"""Seconds between two clearings."""
_FORM: Final = re.compile(r"it_[A-Za-z0-9_-]{43}")


def new_ticket() -> str:
    """One that nobody can guess: 256 bits."""
    return f"it_{secrets.token_urlsafe(32)}"


def digest(ticket: str) -> bytes:
    """What is stored of a ticket: with so many bits at random, a fast hash is enough."""
    return hashlib.sha256(ticket.encode()).digest()


class TicketDesk:
    """Takes tickets. Use it with `async with`.

    Args:
        tickets: Where they are stored.
    """

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._taking: Batcher[bytes, Ticket | None] = Batcher(tickets.take, size=500)
        self._purging: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        await self._taking.__aenter__()
        self._purging = BackgroundTask("clear away tickets", self._purge_for_ever)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._purging is not None:
            await self._purging.end()
        await self._taking.__aexit__(kind, error, traceback)

    async def take(self, ticket: str) -> Ticket:
        """What a ticket stands for; it stands for nothing a second time.

        Raises:
            LiveRefusal: It is unknown, was taken or has expired; or PostgreSQL is unavailable.
        """
        if _FORM.fullmatch(ticket) is None:
            raise LiveRefusal(CloseCode.UNAUTHENTICATED)
        try:
            found = await self._taking.submit(digest(ticket))
        except TidingsError:
            raise LiveRefusal(CloseCode.TRY_LATER) from None
        if found is None:
            raise LiveRefusal(CloseCode.UNAUTHENTICATED)
        return found

    async def _purge_for_ever(self) -> None:
        while True:
            try:
                await self._tickets.purge()
            except TidingsError as error:
                log.info("expired tickets were not deleted", error=str(error))
            await asyncio.sleep(PURGE_EVERY)
