"""Judges the rules of alerts and sends what they have to report, one process at a time; it never holds up the archive."""

import asyncio
from contextlib import suppress
from typing import Final, Self
from uuid import UUID

import structlog

from tidings.alerts.destinations import send
from tidings.alerts.rule_notice import rule_notice
from tidings.delivery.errors import TidingsError
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.operators.rule_alerts import RuleReport
from tidings.runtime.background import BackgroundTask, end
from tidings.runtime.backoff import Backoff
from tidings.settings import Settings

log = structlog.get_logger(__name__)

EVERY: Final = 5.0
"""Seconds between two looks, if no dead letter comes."""
GATHER: Final = 1.0
"""Seconds for which the first dead letter waits for others, to be reported with them."""
AGAIN: Final = 60.0
"""Seconds until a failed alert is sent again."""
AT_ONCE: Final = 8
"""Alerts that are sent at the same time: a receiver that hangs must not hold up the others."""
LONGEST_BACKOFF: Final = 60.0


class RuleAlerting:
    """Sends the alerts of all rules until left.

    Args:
        name: Of its connections to RabbitMQ.
    """

    def __init__(self, settings: Settings, ledger: PostgresLedger, name: str) -> None:
        self._settings = settings
        self._ledger = ledger
        self._name = name
        self._wake = asyncio.Event()
        self._sending: dict[UUID, asyncio.Task[None]] = {}
        self._task: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        self._task = BackgroundTask("alerts of rules", self._work)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave alerts that are being sent to the other processes, or to the next start."""
        if self._task is not None:
            await self._task.end()
        for task in list(self._sending.values()):
            await end(task)

    @property
    def healthy(self) -> bool:
        """Whether its task runs."""
        return self._task is None or self._task.healthy

    def wake(self) -> None:
        """A dead letter was stored."""
        self._wake.set()

    async def _work(self) -> None:
        backoff = Backoff(longest=LONGEST_BACKOFF)
        while True:
            self._wake.clear()
            seconds = EVERY
            try:
                await self._look()
                backoff.reset()
            except TidingsError as error:
                log.warning("rules of alerts not judged", error=str(error))
                seconds = backoff.next()
            await self._pause(seconds)
            await asyncio.sleep(GATHER)

    async def _look(self) -> None:
        rules = self._ledger.rule_alerts
        for id_ in await rules.due():
            if len(self._sending) >= AT_ONCE:
                return
            if id_ not in self._sending and (report := await rules.take(id_)) is not None:
                task = asyncio.create_task(self._send(report))
                self._sending[id_] = task
                task.add_done_callback(lambda _, id=id_: self._sending.pop(id, None))  # type: ignore[misc]  # mypy#15459

    async def _send(self, report: RuleReport) -> None:
        rule, ledger = report.rule, self._ledger
        try:
            notice = rule_notice(report, self._settings.console.url)
            result = await send(self._settings, self._name, rule, notice)
            if result.error is None:
                await ledger.rule_alerts.sent(report, result, actor=ledger.actor)
                log.info("alert sent", rule=rule.name, tenant=rule.tenant)
            else:
                await ledger.rule_alerts.failed(report, result, AGAIN, actor=ledger.actor)
                log.error("alert failed", rule=rule.name, tenant=rule.tenant, error=result.error)
        except asyncio.CancelledError:  # perhaps sent: twice is better than never
            with suppress(TidingsError):
                await ledger.rule_alerts.release(rule.id)
            raise
        except TidingsError as error:
            log.warning("alert not recorded: it may come twice", rule=rule.name, error=str(error))
        except Exception:
            log.exception("unexpected error in an alert", rule=rule.name)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
