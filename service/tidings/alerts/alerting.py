"""Sends alerts about dead letters and providers that are down: the first at once, further ones at intervals."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import structlog

from tidings.alerts.notice import Notice, notice, outage_notice
from tidings.alerts.rule_alerting import RuleAlerting
from tidings.alerts.senders import (
    AlertNotSent,
    AlertSender,
    AppriseSender,
    ChannelSender,
    UnknownService,
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
from tidings.settings import AlertSettings, Settings
from tidings_events import InvalidNotification

log = structlog.get_logger(__name__)

AGAIN: Final = 60.0
"""Seconds until a failed alert is sent again."""
LONGEST_SLEEP: Final = 5.0
"""Seconds between two looks for alerts that workers or other processes left pending."""
LONGEST_BACKOFF: Final = 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of alert, with an interval of its own."""

    pending: Alerts
    compose: Callable[[PendingAlert], Awaitable[Notice]]


class Alerting:
    """Sends at most one alert per subject and `every` seconds, however many processes archive.

    It never holds up the archive: failures are logged, and the alert is sent again.

    Args:
        alerts: Pending alerts about dead letters.
        controls: Pending alerts about providers that are down.
        sender: Sends the alerts; None if none are configured.
        every: Seconds between two alerts of one subject.
        gather: Seconds for which the first dead letter waits for others, to be reported with them.
        connection: Kept open while it runs, if the sender needs one.
        console: URL of the service as browsers see it, for links; empty: no links.
        rules: Sends the alerts of the rules; None: other processes do.
    """

    def __init__(
        self,
        alerts: Alerts,
        controls: LedgerControls,
        sender: AlertSender | None,
        *,
        every: float,
        gather: float = 1.0,
        connection: BrokerConnection | None = None,
        console: str = "",
        rules: RuleAlerting | None,
    ) -> None:
        self._alerts = alerts
        self._controls = controls
        self._subjects = (
            Subject(alerts, self._of_dead_letters),
            Subject(controls.alerts, self._of_outages),
        )
        self._sender = sender
        self._every = every
        self._gather = gather
        self._connection = connection
        self._console = console
        self._rules = rules
        self._new = 0
        self._wake = asyncio.Event()
        self._parts = AsyncExitStack()
        self._task: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            await self._parts.enter_async_context(self._connection)
        if self._rules is not None:
            await self._parts.enter_async_context(self._rules)
        if self._sender is not None:
            self._task = BackgroundTask("alert", partial(self._work, self._sender))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave pending alerts to the other processes, or to the next start."""
        if self._task is not None:
            await self._task.end()
            try:
                await self._note()
            except TidingsError as error:
                log.warning(
                    "dead letters not reported",
                    dead_letters=self._new,
                    error=str(error),
                )
        await self._parts.aclose()

    @property
    def healthy(self) -> bool:
        """Whether its tasks run."""
        return all(part is None or part.healthy for part in (self._rules, self._task))

    def noted(self, dead_letter: DeadLetter) -> None:
        """Count an archived dead letter."""
        if self._rules is not None:
            self._rules.wake()
        if self._sender is not None and not is_our_own(dead_letter):
            self._new += 1
            self._wake.set()

    async def _work(self, sender: AlertSender) -> None:
        backoff = Backoff(longest=LONGEST_BACKOFF)
        while True:
            self._wake.clear()
            try:
                await self._note()
                for subject in self._subjects:
                    await self._send(sender, subject)
                seconds = await self._next()
                backoff.reset()
            except TidingsError as error:
                log.warning("alert state unavailable", error=str(error))
                seconds = backoff.next()
            await _wait(self._wake, seconds)
            await asyncio.sleep(self._gather)

    async def _note(self) -> None:
        if dead_letters := self._new:
            await self._alerts.note(dead_letters)
            self._new -= dead_letters

    async def _next(self) -> float:
        """Seconds until the next alert may be due."""
        times = [await subject.pending.seconds_to_next(self._every) for subject in self._subjects]
        return min([LONGEST_SLEEP, *(time for time in times if time is not None)])

    async def _send(self, sender: AlertSender, subject: Subject) -> None:
        pending = await subject.pending.take(self._every)
        if pending is None:
            return
        try:
            await sender.send(await subject.compose(pending))
        except AlertNotSent as error:
            log.error(  # noqa: TRY400  # foreseen: a traceback says nothing more
                "alert failed", pending=pending.dead_letters, error=str(error)
            )
            again_in = min(AGAIN, self._every)
            await subject.pending.give_back(self._every, again_in, error=str(error))
        except BaseException:  # cancelled, perhaps sent: twice is better than never
            await subject.pending.give_back(self._every, min(AGAIN, self._every))
            raise
        else:
            await subject.pending.sent(pending)
            log.info("alert sent", pending=pending.dead_letters)

    async def _of_dead_letters(self, pending: PendingAlert) -> Notice:
        return notice(pending, await self._worst(pending), self._console)

    async def _of_outages(self, _: PendingAlert) -> Notice:
        try:
            return outage_notice(await self._controls.down(), self._console)
        except TidingsError as error:
            log.warning("alert without details", error=str(error))
            return outage_notice((), self._console)

    async def _worst(self, pending: PendingAlert) -> Sequence[AlertGroup]:
        try:
            return await self._alerts.worst(pending.since)
        except TidingsError as error:
            log.warning("alert without details", error=str(error))
            return ()


def alert_of(settings: Settings, ledger: PostgresLedger, name: str) -> Alerting:
    """The alerting that is configured.

    Args:
        name: Of its connection to the broker.

    Raises:
        ConfigurationError: The settings are incomplete, or no alert could be sent with them.
    """
    wanted = settings.alerting
    sender, connection = None, None
    if url := wanted.url.get_secret_value():
        sender = _apprise(url)
    elif wanted.channel:
        connection = BrokerConnection(settings.broker, f"{name} (alert)")
        sender = _on_channel(BrokerPublisher(settings.broker, connection), wanted)
    return Alerting(
        ledger.dead_letters.alerts,
        ledger.controls,
        sender,
        every=wanted.every,
        connection=connection,
        console=settings.console.url,
        rules=RuleAlerting(settings, ledger, name) if wanted.rules else None,
    )


def _apprise(url: str) -> AlertSender:
    try:
        return AppriseSender(url)
    except UnknownService as error:
        raise ConfigurationError(f"TIDINGS_ALERT_URL: {error}") from None


def _on_channel(publisher: BrokerPublisher, wanted: AlertSettings) -> AlertSender:
    if not wanted.recipient:
        raise ConfigurationError(
            "TIDINGS_ALERT_RECIPIENT is not set: set it, or unset TIDINGS_ALERT_CHANNEL"
        )
    try:
        return ChannelSender(publisher, wanted.channel, wanted.recipient)
    except InvalidNotification as invalid:
        raise ConfigurationError(
            "TIDINGS_ALERT_CHANNEL and TIDINGS_ALERT_RECIPIENT don't make a "
            f"notification: {invalid}"
        ) from None


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.01, seconds)):
            await wake.wait()
    except TimeoutError:
        return
