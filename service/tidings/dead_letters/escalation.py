"""Tells operators that notifications reach the dead letters: at once, and then once in a while."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, Self

import structlog

from tidings.broker.amqp import Backoff
from tidings.broker.connection import Connection
from tidings.broker.publisher import Publisher
from tidings.dead_letters.notice import notice
from tidings.dead_letters.tellers import AppriseTeller, ChannelTeller, NotTold, Teller, is_our_own
from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.delivery.letter import Letter
from tidings.ledger.escalations import Escalations, Trouble, Untold
from tidings.ledger.ledger import Ledger
from tidings.settings import Settings

log = structlog.get_logger(__name__)

AGAIN: Final = 60.0
"""Seconds until operators are tried again where they could not be told."""
LONGEST_SLEEP: Final = 60.0
"""Seconds after which it looks for what another process left untold."""


class Escalation:
    """Tells nobody more often than `every` seconds, however many processes archive.

    It never holds up the archive: what fails here is logged and tried again.

    Args:
        teller: Tells them; nobody is told where None.
        every: Seconds between two messages.
        gather: Seconds that a first letter waits for company.
        connection: Opened as long as it runs, where the teller needs one.
    """

    def __init__(
        self,
        escalations: Escalations,
        teller: Teller | None,
        *,
        every: float,
        gather: float = 1.0,
        connection: Connection | None = None,
    ) -> None:
        self._escalations = escalations
        self._teller = teller
        self._every = every
        self._gather = gather
        self._connection = connection
        self._new = 0
        self._wake = asyncio.Event()
        self._parts = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            await self._parts.enter_async_context(self._connection)
        if self._teller is not None:
            self._task = asyncio.create_task(self._work(self._teller), name="escalate")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave what is untold to the other processes, or to the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            try:
                await self._note()
            except TidingsError as error:
                log.warning(
                    "letters that operators are not told of", letters=self._new, error=str(error)
                )
        await self._parts.aclose()

    def noted(self, letter: Letter) -> None:
        """A letter was buried."""
        if self._teller is not None and not is_our_own(letter):
            self._new += 1
            self._wake.set()

    async def _work(self, teller: Teller) -> None:
        backoff = Backoff(longest=LONGEST_SLEEP)
        while True:
            self._wake.clear()
            try:
                await self._note()
                await self._tell(teller)
                seconds = await self._escalations.seconds_to_next(self._every)
                backoff.reset()
            except TidingsError as error:
                log.warning("can't look up what operators know", error=str(error))
                seconds = backoff.next()
            except Exception:
                log.exception("operators are not told, for a fault of our own")
                seconds = backoff.next()
            await _wait(self._wake, LONGEST_SLEEP if seconds is None else seconds)
            await asyncio.sleep(self._gather)

    async def _note(self) -> None:
        if letters := self._new:
            await self._escalations.note(letters)
            self._new -= letters

    async def _tell(self, teller: Teller) -> None:
        untold = await self._escalations.take(self._every)
        if untold is None:
            return
        try:
            await teller.tell(notice(untold, await self._worst(untold)))
        except NotTold as error:
            log.error(  # noqa: TRY400  # foreseen: a traceback says nothing more
                "operators could not be told", letters=untold.letters, error=str(error)
            )
            await self._escalations.give_back(untold, self._every, min(AGAIN, self._every))
        else:
            log.info("operators told", letters=untold.letters)

    async def _worst(self, untold: Untold) -> Sequence[Trouble]:
        try:
            return await self._escalations.worst(untold.since)
        except TidingsError as error:
            log.warning("operators are told without details", error=str(error))
            return ()


def escalation_of(settings: Settings, ledger: Ledger, name: str) -> Escalation:
    """The escalation that the settings ask for.

    Args:
        name: Of its connection to the broker.

    Raises:
        ConfigurationError: They ask for something that can't be.
    """
    wanted = settings.escalation
    escalations = ledger.letters.escalations
    if url := wanted.url.get_secret_value():
        return Escalation(escalations, AppriseTeller(url), every=wanted.every)
    if not wanted.channel:
        return Escalation(escalations, None, every=wanted.every)
    if not wanted.recipient:
        raise ConfigurationError(
            "TIDINGS_ESCALATION_RECIPIENT: say whom to tell, or unset the channel"
        )
    connection = Connection(settings.broker, f"{name} (escalate)")
    teller = ChannelTeller(Publisher(settings.broker, connection), wanted.channel, wanted.recipient)
    return Escalation(escalations, teller, every=wanted.every, connection=connection)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.01, min(seconds, LONGEST_SLEEP))):
            await wake.wait()
    except TimeoutError:
        return
