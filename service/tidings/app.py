"""Builds the roles from the settings and runs them until a signal."""

import asyncio
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

import structlog

from tidings.archive import Archive
from tidings.broker.inbox_hints import InboxHintPublisher
from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.topology.layout import topology_of
from tidings.channels.registry import build, configured, fallbacks, how_to_configure
from tidings.channels.spec import ChannelServices
from tidings.delivery.errors import ConfigurationError, LedgerUnavailable, TidingsError
from tidings.delivery.inbox import InboxHints
from tidings.delivery.ports import Channel
from tidings.ledger import PostgresLedger, migration_state
from tidings.ledger.operators.heartbeat import beating
from tidings.operations.backend import Backend
from tidings.operations.jobs.hosting import JobHost
from tidings.runtime.background import BackgroundTask
from tidings.runtime.backoff import Backoff
from tidings.runtime.garbage import collect_seldom
from tidings.runtime.stopping import AFTER_GRACE, Stop, stop_on_signal
from tidings.scheduler import Scheduler
from tidings.scheduler.gauges import count_for_ever
from tidings.scheduler.housekeeping import maintain_ledger_for_ever
from tidings.scheduler.inboxes import keep_inboxes_for_ever
from tidings.scheduler.rollups import fold_for_ever
from tidings.scheduler.schedules import run_schedules_for_ever
from tidings.settings import Settings
from tidings.telemetry.http import HealthServer
from tidings.telemetry.log_writer import LogWriter
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker import Worker
from tidings.worker.parts import NO_WRAPPERS, Parts

log = structlog.get_logger(__name__)

ROLES: Final = ("worker", "scheduler", "archive", "api")
"""The roles that a process can have, one or several."""


class RunningRole(Protocol):
    """A role that runs until it is stopped."""

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can do its work now."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish work in progress."""
        ...


async def serve(
    settings: Settings,
    roles: Collection[str],
    channels: Collection[str],
    log_writer: LogWriter,
    parts: Parts = NO_WRAPPERS,
) -> None:
    """Run roles in this process until a signal; a second signal ends it immediately.

    Args:
        roles: Of `ROLES`.
        channels: The worker's channels; every configured channel if empty.
        log_writer: Writes the log, so that its last lines are out before the process ends.
        parts: Wrappers of a worker's parts.

    Raises:
        ConfigurationError: Settings or database need a change first; says which.
    """
    settings.check()
    if "worker" in roles:
        _require_a_channel(settings, channels)  # before waiting for PostgreSQL
    stop = Stop(settings.worker.grace + AFTER_GRACE, log_writer.drain)
    with stop_on_signal(stop):
        await _tables_ready(settings, stop)
        if not stop.is_set():
            metrics = Metrics(log_writer.dropped)
            await _serve(settings, roles, channels, stop, metrics, parts)


def _require_a_channel(settings: Settings, only: Collection[str]) -> None:
    if not configured(settings, only):
        raise ConfigurationError(
            f"no channel is configured, so a worker has nothing to do; set one ({how_to_configure()})"
        )


async def _serve(
    settings: Settings,
    roles: Collection[str],
    channels: Collection[str],
    stop: asyncio.Event,
    metrics: Metrics,
    parts: Parts,
) -> None:
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(
            PostgresLedger(settings.ledger, actor=actor_name(roles))
        )
        hints = await stack.enter_async_context(
            InboxHintPublisher(
                settings.broker, f"tidings {ledger.actor} (inbox)", metrics.inbox_hints_lost
            )
        )
        services = ChannelServices(await stack.enter_async_context(ledger.inbox_deliveries(hints)))
        running = dict(_roles(settings, roles, channels, ledger, services, hints, metrics, parts))
        metrics.broker_up.set_function(lambda: all(role.connected for role in running.values()))
        metrics.ledger_up.set_function(lambda: ledger.database.answers)
        metrics.expect(settings.channels)
        if settings.worker.http_port is not None:
            checks = {name: partial(_ready, role) for name, role in running.items()}
            http = HealthServer(
                settings.worker.http_host, settings.worker.http_port, metrics, checks
            )
            await stack.enter_async_context(http)
            if "scheduler" in roles:
                counting = BackgroundTask(
                    "count what waits", partial(count_for_ever, ledger, metrics)
                )
                stack.push_async_callback(counting.end)
            log.info("listening", host=settings.worker.http_host, port=http.port)
        if "scheduler" in roles:
            keeping = BackgroundTask(
                "keep the partitions", partial(maintain_ledger_for_ever, ledger, hints)
            )
            stack.push_async_callback(keeping.end)
            folding = BackgroundTask("fold rollups", partial(fold_for_ever, ledger))
            stack.push_async_callback(folding.end)
            schedules = BackgroundTask(
                "run schedules", partial(run_schedules_for_ever, settings, ledger, metrics)
            )
            stack.push_async_callback(schedules.end)
            inboxes = BackgroundTask("keep inboxes", partial(keep_inboxes_for_ever, ledger, hints))
            stack.push_async_callback(inboxes.end)
            jobs = BackgroundTask("run jobs", JobHost(Backend(settings, ledger)).run_for_ever)
            stack.push_async_callback(jobs.end)
        worker = running.get("worker")
        serves = (worker.channels, worker.templates) if isinstance(worker, Worker) else ((), "")
        kept = ledger.retention.periods.stated if "scheduler" in roles else None
        await stack.enter_async_context(
            beating(ledger.processes, ledger.actor, roles, *serves, kept)
        )
        collect_seldom()
        ended = await asyncio.gather(
            *(_run(role, stop) for role in running.values()), return_exceptions=True
        )
        for error in ended:
            if error is not None:
                raise error


def actor_name(roles: Collection[str]) -> str:
    """A unique name of this process for leases, history and the management UI."""
    return f"{'+'.join(sorted(roles))} {socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"


def _roles(
    settings: Settings,
    roles: Collection[str],
    channels: Collection[str],
    ledger: PostgresLedger,
    services: ChannelServices,
    hints: InboxHints,
    metrics: Metrics,
    parts: Parts,
) -> Iterator[tuple[str, RunningRole]]:
    layout, memory_budget = topology_of(settings), MemoryBudget(settings.worker.buffer_bytes)
    for role in roles:
        match role:
            case "worker":
                templates = Templates(settings.worker.templates_root)
                served: Mapping[str, Channel] = build(settings, services, only=channels)
                yield (
                    role,
                    Worker(
                        settings,
                        layout,
                        ledger,
                        served,
                        templates,
                        metrics,
                        fallbacks=fallbacks(settings, services, served),
                        parts=parts,
                        memory_budget=memory_budget,
                    ),
                )
            case "scheduler":
                yield role, Scheduler(settings, layout, ledger, metrics)
            case "archive":
                yield role, Archive(settings, layout, ledger, metrics, memory_budget=memory_budget)
            case "api":
                # Its libraries take 26 MB, which other roles don't need.
                from tidings.api import Api
                from tidings.console import Console

                console = Console if settings.console.enabled else None
                yield (
                    role,
                    Api(settings, ledger.actor, metrics.api, inbox_hints=hints, console=console),
                )
            case _:
                raise ConfigurationError(f"there is no role {role!r}; there are {', '.join(ROLES)}")


async def _run(role: RunningRole, stop: asyncio.Event) -> None:
    """If a role fails, the others stop gracefully, so that the process ends as a whole."""
    try:
        await role.run(stop)
    except Exception as error:
        if not isinstance(error, TidingsError):
            log.exception("unexpected error: this process ends")
        raise
    finally:
        stop.set()


def _ready(role: RunningRole) -> bool:
    return role.ready


async def _tables_ready(settings: Settings, stop: asyncio.Event) -> None:
    """Wait for PostgreSQL; its tables must exist."""
    backoff = Backoff(longest=5)
    while not stop.is_set():
        try:
            state = await migration_state(settings.ledger.database_url.get_secret_value())
        except LedgerUnavailable as error:
            log.warning("waiting for PostgreSQL", error=str(error))
            await _wait(stop, backoff.next())
            continue
        if not state.ok:
            raise ConfigurationError(
                f"the database is at version {state.current or 'none'} and this Tidings needs "
                f"{state.needed}: run `tidings migrate`"
            )
        return


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
