"""Runs schedules when they are due: their notifications go to the outbox."""

import asyncio
from typing import Final

import structlog

from tidings.delivery.errors import TidingsError
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.schedules.running import Run
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LONGEST_SLEEP: Final = 1.0
"""Seconds after which it looks for new schedules and for a resumed dispatching."""
AGAIN: Final = 2.0
"""Seconds after a failure."""


async def run_schedules_for_ever(
    settings: Settings, ledger: PostgresLedger, metrics: Metrics
) -> None:
    """Run what is due, until cancelled. Any number may: each run is stored once."""
    expires_at = Policies(settings).expires_at
    while True:
        try:
            if await ledger.dispatching.paused():
                await asyncio.sleep(LONGEST_SLEEP)
                continue
            while (run := await ledger.schedules.running.run_next(expires_at)) is not None:
                report(run, metrics)
            seconds = await ledger.schedules.running.seconds_to_next()
        except TidingsError as error:
            log.warning("schedules not run", error=str(error))
            await asyncio.sleep(AGAIN)
        else:
            await asyncio.sleep(
                max(0.01, min(LONGEST_SLEEP, LONGEST_SLEEP if seconds is None else seconds))
            )


def report(run: Run, metrics: Metrics) -> None:
    """Log and count a run."""
    schedule, decision = run.schedule, run.decision
    named = {"schedule": schedule.name, "tenant": schedule.tenant}
    if decision.skipped:
        metrics.schedule_runs("skipped", decision.skipped)
        log.warning("missed runs skipped", **named, runs=decision.skipped)
    if run.error:
        metrics.schedule_runs("failed")
        log.error("schedule not run", **named, problems=run.error)
    elif decision.due is not None:
        metrics.schedule_runs("late" if decision.late else "on_time")
        log.info(
            "schedule run",
            **named,
            due=decision.due.isoformat(),
            late=decision.late,
            notifications=run.notifications,
        )
