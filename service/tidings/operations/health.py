"""Checks everything that Tidings depends on, with a remedy for each fault; sends nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from tidings.broker.diagnosis import diagnose as diagnose_broker
from tidings.broker.topology.layout import topology_of
from tidings.channels.registry import SPECS, build, fallbacks, labelled
from tidings.channels.spec import ChannelServices
from tidings.delivery.errors import ConfigurationError, TidingsError
from tidings.delivery.ports import Channel, Finding, Verdict
from tidings.ledger import PostgresLedger
from tidings.ledger.diagnosis import diagnose as diagnose_ledger
from tidings.operations import alert_rules
from tidings.operations.actor import Actor
from tidings.operations.alert_rules import SealingView
from tidings.operations.backend import Backend, opened
from tidings.operations.processes import list_, note_on_other_templates
from tidings.settings import Settings
from tidings.settings.variables import unknown

MISSED: Final = {
    "scheduler": "scheduled notifications are not sent, and lost messages are not found",
    "archive": "dead letters stay in RabbitMQ and can't be shown or replayed",
}
PATIENCE: Final = 60.0
"""Seconds that any one check may take."""


@dataclass(frozen=True, slots=True)
class HealthView:
    """What all checks found."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no fault."""
        return not any(finding.verdict is Verdict.FAULT for finding in self.findings)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        findings = [{**asdict(each), "remedy": each.remedy or None} for each in self.findings]
        return {"healthy": self.healthy, "findings": findings}


@dataclass(frozen=True, slots=True)
class ExaminedHealth:
    """What all checks found, and when."""

    view: HealthView
    at: datetime
    seconds: float
    """That they took."""


async def examined(
    backend: Backend, actor: Actor, environment: Mapping[str, str]
) -> ExaminedHealth:
    """As `examine`, but at most once at a time and every few seconds in a process, whoever asks."""

    async def look() -> ExaminedHealth:
        at = datetime.now(UTC)
        view = await examine(backend.settings, actor, environment)
        return ExaminedHealth(view, at, (datetime.now(UTC) - at).total_seconds())

    return await backend.health.get(look)


async def examine(settings: Settings, actor: Actor, environment: Mapping[str, str]) -> HealthView:
    """A finding for each check.

    It takes settings, not a backend: a wrong setting is a finding too.

    Args:
        environment: The variables in which misspelt settings are looked for.
    """
    try:
        settings.check()
        ledger = PostgresLedger(settings.ledger, actor=str(actor))
        services = ChannelServices(ledger.inbox_deliveries())
        channels = build(settings, services)
        others = list(_others(settings, services, channels))
    except ConfigurationError as error:
        remedy = "correct it; `tidings settings` explains each variable"
        return HealthView((Finding("Settings", Verdict.FAULT, str(error), remedy),))
    async with ledger:
        return await _examine(settings, actor, environment, channels, others)


async def _examine(
    settings: Settings,
    actor: Actor,
    environment: Mapping[str, str],
    channels: Mapping[str, Channel],
    others: Sequence[tuple[str, Channel]],
) -> HealthView:
    try:
        layout = topology_of(settings)
        checks: list[tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]] = [
            ("RabbitMQ", lambda: diagnose_broker(settings.broker, layout, list(channels))),
            ("PostgreSQL", lambda: diagnose_ledger(settings.ledger)),
            *((name, channel.check) for name, channel in channels.items()),
            *(
                (f"{provider.name} ({name})", partial(_check, name, provider))
                for name, provider in others
            ),
            ("Templates", lambda: _templates(settings, actor)),
            ("Processes", lambda: _processes(settings, actor, channels)),
            ("Alerts", lambda: _alerts(settings, actor)),
        ]
        results = await asyncio.gather(*(_within(name, check) for name, check in checks))
    finally:
        await _close([*channels.values(), *(provider for _, provider in others)])
    findings = [
        Finding("Settings", Verdict.OK, "all variables are valid"),
        *(
            Finding("Settings", Verdict.WARNING, variable.message, "correct it, or unset it")
            for variable in unknown(settings, environment)
        ),
        *(finding for result in results for finding in result),
        *_switched_off(channels),
        *console_findings(settings),
    ]
    return HealthView(
        tuple(dict.fromkeys(findings))
    )  # channels with one account find the same of it


def _others(
    settings: Settings, services: ChannelServices, channels: Collection[str]
) -> Iterator[tuple[str, Channel]]:
    """Every provider but the preferred ones, with its name."""
    for named in fallbacks(settings, services, channels).values():
        yield from named.items()


async def _check(provider: str, channel: Channel) -> Sequence[Finding]:
    return labelled(provider, channel.name, await channel.check())


async def _within(
    name: str, check: Callable[[], Awaitable[Sequence[Finding]]]
) -> Sequence[Finding]:
    """A check with a timeout; a timeout or an error is a finding too."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await check()
    except TimeoutError:
        detail = f"no answer within {PATIENCE:.0f}s"
        return [Finding(name, Verdict.FAULT, detail, "check the network between it and this host")]
    except TidingsError as error:
        return [Finding(name, Verdict.FAULT, str(error))]


async def _close(channels: Iterable[Channel]) -> None:
    for channel in channels:
        await channel.close()


def console_findings(settings: Settings) -> Iterator[Finding]:
    """Whether browsers may send the console's cookies without TLS."""
    if not settings.console.enabled or _is_loopback(settings.api.host):
        return
    if not settings.console.url.startswith("https:"):
        yield Finding(
            "Console",
            Verdict.WARNING,
            "its sessions' cookies are not marked `Secure`: browsers send them without TLS too",
            "set TIDINGS_CONSOLE_URL to the `https://` address at which people open it",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _switched_off(channels: Mapping[str, Channel]) -> Iterator[Finding]:
    if not channels:
        first = next(iter(SPECS.values()))
        yield Finding(
            "Channels",
            Verdict.WARNING,
            "none is enabled: nothing can be delivered",
            f"set {first.variables}, for example; the settings of each channel are below",
        )
    for name, spec in SPECS.items():
        if name not in channels:
            yield Finding(name, Verdict.OK, f"off; set {spec.variables} to enable it")


async def _processes(
    settings: Settings, actor: Actor, channels: Collection[str]
) -> Sequence[Finding]:
    """Missing roles, and differing versions."""
    try:
        async with opened(settings, str(actor)) as backend:
            running = [process for process in await list_(backend) if process.running]
    except TidingsError:
        return []  # PostgreSQL has its own finding
    roles = {role for process in running for role in process.roles}
    served = {channel for process in running for channel in process.channels}
    missing = [
        *(
            f"no {role} runs: {MISSED[role]}"
            for role in ("scheduler", "archive")
            if role not in roles
        ),
        *(
            f"no worker serves {channel}: it waits in its lanes"
            for channel in channels
            if channel not in served
        ),
    ]
    remedy = "start `tidings all`, or the roles one by one; `tidings ps` lists what runs"
    found = [Finding("Processes", Verdict.WARNING, what, remedy) for what in missing]
    if len(versions := sorted({process.version for process in running})) > 1:
        what = f"versions differ: {', '.join(versions)}"
        found.append(
            Finding(
                "Processes",
                Verdict.WARNING,
                what,
                "finish the upgrade; `tidings ps` shows them",
            )
        )
    if (
        len({str(sorted(process.retention.items())) for process in running if process.retention})
        > 1
    ):
        what = "schedulers have different retention periods: the shortest applies"
        remedy = "give them the same TIDINGS_RETENTION, TIDINGS_RETENTION_BY_STATE and TIDINGS_RETENTION_BY_TENANT"
        found.append(Finding("Processes", Verdict.WARNING, what, remedy))
    return found or [
        Finding("Processes", Verdict.OK, f"{len(running)} running, with every role and channel")
    ]


async def _alerts(settings: Settings, actor: Actor) -> Sequence[Finding]:
    """Receivers of alerts that take none."""
    try:
        async with opened(settings, str(actor)) as backend:
            rules = await backend.ledger.rule_alerts.failing()
            topics = await backend.ledger.controls.alerts.status()
            sealing = await alert_rules.sealing(backend)
    except TidingsError:
        return []  # PostgreSQL has its own finding
    remedy = "`tidings alerts test RULE` tries it again, `tidings alerts edit` changes its receiver"
    of_settings = "correct TIDINGS_ALERT_URL, or TIDINGS_ALERT_CHANNEL and TIDINGS_ALERT_RECIPIENT"
    broken = [
        *((f"rule {rule.name}", rule.failing_since, rule.error, remedy) for rule in rules),
        *(
            (
                f"the settings' alert about {topic.topic}",
                topic.failing_since,
                topic.error,
                of_settings,
            )
            for topic in topics
        ),
    ]
    return [
        *_sealing(sealing),
        *(
            Finding(
                "Alerts",
                Verdict.FAULT,
                f"{what} has not reached its receiver since {since:%Y-%m-%d %H:%M} UTC: {error}",
                how,
            )
            for what, since, error, how in broken
            if since is not None
        ),
    ]


def _sealing(found: SealingView) -> Iterator[Finding]:
    """URLs of receivers that who reads the database reads, or that nobody does."""
    if found.unopened and not found.keyed:
        yield Finding(
            "Alerts",
            Verdict.OK,
            "URLs of rules are sealed, and without TIDINGS_SEALING_KEYS they can't be checked here: "
            "archivers, the API and `tidings alerts` need the keys",
        )
    elif found.unopened:
        yield Finding(
            "Alerts",
            Verdict.FAULT,
            f"the URL is sealed with a key that TIDINGS_SEALING_KEYS doesn't have, so these rules send nothing: {found.unopened}",
            "add the key after the others, or give the URL again: `tidings alerts edit RULE --url URL`",
        )
    if found.stale:
        yield Finding(
            "Alerts",
            Verdict.WARNING,
            f"the URL is not sealed with the first of TIDINGS_SEALING_KEYS: {found.stale}",
            "`tidings alerts reseal` seals them anew, once every process has the key",
        )


async def _templates(settings: Settings, actor: Actor) -> Sequence[Finding]:
    from tidings.templates import Level, Templates

    root = settings.worker.templates_root
    if not root.is_dir():
        remedy = (
            "`tidings templates init` creates one; set TIDINGS_TEMPLATES_ROOT if they are elsewhere"
        )
        return [Finding("Templates", Verdict.WARNING, f"there is no folder {root}", remedy)]
    templates = Templates(root)
    problems = templates.check()
    verdicts = {Level.ERROR: Verdict.FAULT, Level.WARNING: Verdict.WARNING}
    found = [
        Finding(
            "Templates",
            verdicts[problem.level],
            f"{problem.file}{f', line {problem.line}' if problem.line else ''}: {problem.message}",
            "`tidings templates check` lists all problems",
        )
        for problem in problems
    ]
    count = len(templates.list_templates())
    if hint := await note_on_other_templates(settings, actor, templates.digest):
        found.append(
            Finding(
                "Templates",
                Verdict.WARNING,
                hint,
                f"restart them if they should use {root}",
            )
        )
    return found or [Finding("Templates", Verdict.OK, f"{count} in {root}, all valid")]
