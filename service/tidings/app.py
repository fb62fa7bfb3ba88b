"""Wires it all together: settings in, roles running, until a signal."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

import structlog

from tidings.background import Backoff
from tidings.broker.topology import topology_of
from tidings.channels.registry import build, configured, fallbacks, how_to_configure
from tidings.dead_letters import Archive
from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.delivery.ports import Channel
from tidings.ledger import Ledger, migration_state
from tidings.scheduler import Scheduler
from tidings.settings import Settings
from tidings.telemetry.http import HealthServer
from tidings.telemetry.metrics import Metrics
from tidings.templates import Templates
from tidings.worker import Worker
from tidings.worker.failpoints import ChannelWithFailpoints, Failpoints, LedgerWithFailpoints

log = structlog.get_logger(__name__)

ROLES: Final = ("worker", "scheduler", "archive")
"""What a process can be; one of them, or several in one."""


class Role(Protocol):
    """Something that runs until it is told to stop."""

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can do its work at this moment."""
        ...

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way."""
        ...


async def serve(settings: Settings, roles: Collection[str], channels: Collection[str] = ()) -> None:
    """Run roles in this process until SIGTERM or SIGINT; a second signal ends it at once.

    Args:
        roles: Of `ROLES`.
        channels: What the worker serves; every configured channel where empty.

    Raises:
        ConfigurationError: A person has to act first; says how.
    """
    settings.check()
    if "worker" in roles:
        _require_a_channel(settings, channels)  # at once, not when PostgreSQL was waited for
    failpoints = Failpoints.parse(settings.worker.failpoints)
    with _stop_on_signal() as stop:
        await _tables_ready(settings, stop)
        if not stop.is_set():
            await _serve(settings, roles, channels, stop, failpoints)


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
    failpoints: Failpoints | None,
) -> None:
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(_ledger(settings, actor_name(roles), failpoints))
        running = dict(_roles(settings, roles, channels, ledger, metrics, failpoints))
        metrics.broker_up.set_function(lambda: all(role.connected for role in running.values()))
        metrics.ledger_up.set_function(lambda: ledger.database.answers)
        if settings.worker.http_port is not None:
            checks = {name: partial(_ready, role) for name, role in running.items()}
            http = HealthServer(
                settings.worker.http_host, settings.worker.http_port, metrics, checks
            )
            await stack.enter_async_context(http)
            log.info("listening", host=settings.worker.http_host, port=http.port)
        collect_seldom()
        async with asyncio.TaskGroup() as group:
            for name, role in running.items():
                group.create_task(_run(role, stop), name=name)


def collect_seldom() -> None:
    """What is loaded by now stays until the end: looking through it for garbage again and again is a
    good part of a worker's time under load. Messages leave next to no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(150_000, 20, 50)


def actor_name(roles: Collection[str]) -> str:
    """Names this process in leases, history and the management UI, unlike any other ever."""
    return f"{'+'.join(sorted(roles))} {socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"


def _roles(
    settings: Settings,
    roles: Collection[str],
    channels: Collection[str],
    ledger: Ledger,
    metrics: Metrics,
    failpoints: Failpoints | None,
) -> Iterator[tuple[str, Role]]:
    layout = topology_of(settings)
    for role in roles:
        match role:
            case "worker":
                templates = Templates(settings.worker.templates_root)
                served: Mapping[str, Channel] = build(settings, only=channels)
                if failpoints is not None:
                    served = {
                        name: ChannelWithFailpoints(one, failpoints) for name, one in served.items()
                    }
                yield (
                    role,
                    Worker(
                        settings,
                        layout,
                        ledger,
                        served,
                        templates,
                        metrics,
                        fallbacks=fallbacks(settings, served),
                        failpoints=failpoints,
                    ),
                )
            case "scheduler":
                yield role, Scheduler(settings, layout, ledger, metrics)
            case "archive":
                yield role, Archive(settings, layout, ledger, metrics)
            case _:
                raise ConfigurationError(f"there is no role {role!r}; there are {', '.join(ROLES)}")


def _ledger(settings: Settings, actor: str, failpoints: Failpoints | None) -> Ledger:
    if failpoints is None:
        return Ledger(settings.ledger, actor=actor)
    log.warning("failpoints are set: this process ends itself", at=settings.worker.failpoints)
    return LedgerWithFailpoints(settings.ledger, actor=actor, failpoints=failpoints)


async def _run(role: Role, stop: asyncio.Event) -> None:
    """A role that fails takes the others down with it, in order: a process is whole or gone."""
    try:
        await role.run(stop)
    finally:
        stop.set()


def _ready(role: Role) -> bool:
    return role.ready


async def _tables_ready(settings: Settings, stop: asyncio.Event) -> None:
    """Wait for PostgreSQL; its tables must be ours already."""
    backoff = Backoff(longest=10)
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


@contextmanager
def _stop_on_signal() -> Iterator[asyncio.Event]:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask(number: int) -> None:
        if stop.is_set():
            log.warning("second signal: ending at once", signal=signal.Signals(number).name)
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
