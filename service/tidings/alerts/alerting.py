"""Tells operators of dead letters and of providers that are down: at once, and then once in a while."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import structlog

from tidings.alerts.notice import Notice, notice, outage_notice
from tidings.alerts.senders import (
    AlertNotSent,
    AlertSender,
    AppriseSender,
    ChannelSender,
    is_our_own,
)
from tidings.broker.connection import BrokerConnection
from tidings.broker.publisher import BrokerPublisher
from tidings.delivery.dead_letter import DeadLetter
from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.operators.alerts import AlertGroup, Alerts, PendingAlert
from tidings.ledger.operators.controls import LedgerControls
from tidings.runtime.background import BackgroundTask
from tidings.runtime.backoff import Backoff
from tidings.settings import Settings

log = structlog.get_logger(__name__)

AGAIN: Final = 60.0
"""Seconds until operators are tried again where they could not be told."""
LONGEST_SLEEP: Final = 5.0
"""Seconds after which it looks for what workers have to tell, and what another process left pending."""
LONGEST_BACKOFF: Final = 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What operators are told of, at a pace of its own."""

    pending: Alerts
    words: Callable[[PendingAlert], Awaitable[Notice]]


class Alerting:
    """Tells nobody more often than `every` seconds of one subject, however many processes archive.

    It never holds up the archive: what fails here is logged and tried again.

    Args:
        alerts: What is known of dead letters.
        controls: What workers know of providers that are down.
        teller: Tells them; nobody is told where None.
        every: Seconds between two messages.
        gather: Seconds that a first dead letter waits for company.
        connection: Opened as long as it runs, where the teller needs one.
    """

    def __init__(
        self,
        alerts: Alerts,
        controls: LedgerControls,
        teller: AlertSender | None,
        *,
        every: float,
        gather: float = 1.0,
        connection: BrokerConnection | None = None,
    ) -> None:
        self._alerts = alerts
        self._controls = controls
        self._subjects = (
            Subject(alerts, self._of_dead_letters),
            Subject(controls.alerts, self._of_outages),
        )
        self._teller = teller
        self._every = every
        self._gather = gather
        self._connection = connection
        self._new = 0
        self._wake = asyncio.Event()
        self._parts = AsyncExitStack()
        self._task: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            await self._parts.enter_async_context(self._connection)
        if self._teller is not None:
            self._task = BackgroundTask("alert", partial(self._work, self._teller))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave what is pending to the other processes, or to the next start."""
        if self._task is not None:
            await self._task.end()
            try:
                await self._note()
            except TidingsError as error:
                log.warning(
                    "dead letters that operators are not told of",
                    dead_letters=self._new,
                    error=str(error),
                )
        await self._parts.aclose()

    @property
    def healthy(self) -> bool:
        """Whether it goes on, where there is anybody to tell."""
        return self._task is None or self._task.healthy

    def noted(self, dead_letter: DeadLetter) -> None:
        """A dead letter was dead-lettered."""
        if self._teller is not None and not is_our_own(dead_letter):
            self._new += 1
            self._wake.set()

    async def _work(self, teller: AlertSender) -> None:
        backoff = Backoff(longest=LONGEST_BACKOFF)
        while True:
            self._wake.clear()
            try:
                await self._note()
                for subject in self._subjects:
                    await self._tell(teller, subject)
                seconds = await self._next()
                backoff.reset()
            except TidingsError as error:
                log.warning("can't look up what operators know", error=str(error))
                seconds = backoff.next()
            await _wait(self._wake, seconds)
            await asyncio.sleep(self._gather)

    async def _note(self) -> None:
        if dead_letters := self._new:
            await self._alerts.note(dead_letters)
            self._new -= dead_letters

    async def _next(self) -> float:
        """Seconds until there may be something to tell."""
        times = [await one.pending.seconds_to_next(self._every) for one in self._subjects]
        return min([LONGEST_SLEEP, *(time for time in times if time is not None)])

    async def _tell(self, teller: AlertSender, subject: Subject) -> None:
        pending = await subject.pending.take(self._every)
        if pending is None:
            return
        try:
            await teller.tell(await subject.words(pending))
        except AlertNotSent as error:
            log.error(  # noqa: TRY400  # foreseen: a traceback says nothing more
                "operators could not be told", pending=pending.dead_letters, error=str(error)
            )
            await subject.pending.give_back(pending, self._every, min(AGAIN, self._every))
        except BaseException:  # cut off, perhaps told: better twice than never
            await subject.pending.give_back(pending, self._every, min(AGAIN, self._every))
            raise
        else:
            log.info("operators told", pending=pending.dead_letters)

    async def _of_dead_letters(self, pending: PendingAlert) -> Notice:
        return notice(pending, await self._worst(pending))

    async def _of_outages(self, _: PendingAlert) -> Notice:
        try:
            return outage_notice(await self._controls.down())
        except TidingsError as error:
            log.warning("operators are told without details", error=str(error))
            return outage_notice(())

    async def _worst(self, pending: PendingAlert) -> Sequence[AlertGroup]:
        try:
            return await self._alerts.worst(pending.since)
        except TidingsError as error:
            log.warning("operators are told without details", error=str(error))
            return ()


def alert_of(settings: Settings, ledger: PostgresLedger, name: str) -> Alerting:
    """The alerting that the settings ask for.

    Args:
        name: Of its connection to the broker.

    Raises:
        ConfigurationError: They ask for something that can't be.
    """
    wanted = settings.alerting
    alerts, controls = ledger.dead_letters.alerts, ledger.controls
    if url := wanted.url.get_secret_value():
        return Alerting(alerts, controls, AppriseSender(url), every=wanted.every)
    if not wanted.channel:
        return Alerting(alerts, controls, None, every=wanted.every)
    if not wanted.recipient:
        raise ConfigurationError("TIDINGS_ALERT_RECIPIENT: say whom to tell, or unset the channel")
    connection = BrokerConnection(settings.broker, f"{name} (alert)")
    teller = ChannelSender(
        BrokerPublisher(settings.broker, connection), wanted.channel, wanted.recipient
    )
    return Alerting(alerts, controls, teller, every=wanted.every, connection=connection)


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.01, seconds)):
            await wake.wait()
    except TimeoutError:
        return
