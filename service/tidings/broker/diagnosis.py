"""The findings of `tidings doctor` about RabbitMQ, each with its remedy."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aio_pika.abc import AbstractConnection

from tidings.broker.probe import round_trip
from tidings.broker.topology.inspection import (
    Depth,
    Difference,
    Kind,
    Server,
    depths,
    differences,
    left_over,
    leftovers,
    server,
    unbound,
)
from tidings.broker.topology.layout import DEAD, Topology
from tidings.broker.topology.management import Management, vhost_of
from tidings.broker.wire.amqp import connect
from tidings.broker.wire.session import connected
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError
from tidings.delivery.ports import Finding, Verdict
from tidings.settings import BrokerSettings

OLDEST: Final = (3, 10)
"""Quorum queues dead-letter at least once from here on."""
CAPABILITIES: Final = frozenset({"publisher_confirms", "consumer_cancel_notify", "basic.nack"})
FLAGS: Final = ("quorum_queue", "stream_queue")
"""Without `stream_queue`, dead-lettering silently falls back to at most once."""

NAME: Final = "tidings doctor"
MANAGEMENT: Final = "RabbitMQ: management"
MOST_LISTED: Final = 4


async def diagnose(
    settings: BrokerSettings, topology: Topology, channels: Sequence[str]
) -> Sequence[Finding]:
    """Check RabbitMQ: connection, version, topology, permissions, consumers.

    Args:
        settings: Its URLs.
        topology: What must exist.
        channels: Configured channels, which need a worker.
    """
    findings = [await _address(url, settings) for url in settings.urls]
    complete = False
    if all(finding.verdict is Verdict.FAULT for finding in findings):
        return findings
    try:
        async with connected(settings, NAME) as connection:
            findings += _server(server(connection))
            found = await differences(connection, topology, settings.amqp_timeout)
            findings += _topology(found, topology)
            if complete := not any(difference.kind is Kind.MISSING for difference in found):
                findings += [await _allowed(connection, settings.amqp_timeout)]
                waiting = await depths(connection, topology, settings.amqp_timeout)
                findings += _consumers(waiting, channels)
    except BrokerUnavailable as error:
        findings.append(Finding("RabbitMQ", Verdict.FAULT, str(error), "look at its log"))
    management = await _management(Management.of(settings), topology, complete=complete)
    return [*findings, *management]


async def _address(url: str, settings: BrokerSettings) -> Finding:
    """Check each URL by itself: the others are needed when the first fails."""
    try:
        connection = await connect(url, settings, NAME)
    except (BrokerUnavailable, ConfigurationError) as error:
        return Finding("RabbitMQ", Verdict.FAULT, str(error), _why_no_connection(str(error), url))
    await connection.close()
    host = url.rpartition("@")[2].partition("?")[0]
    return Finding("RabbitMQ", Verdict.OK, f"connected to {host}")


def _why_no_connection(error: str, url: str) -> str:
    text = error.lower()
    if "access_refused" in text or "authentication" in text:
        return "check the user and the password in TIDINGS_AMQP_URL"
    if "virtual host" in text or "vhost" in text:
        vhost = vhost_of(url)
        return (
            f"create it: `rabbitmqctl add_vhost {vhost}`, then `rabbitmqctl set_permissions -p "
            f"{vhost} USER '.*' '.*' '.*'`; or name another at the end of TIDINGS_AMQP_URL"
        )
    if "certificate" in text or "ssl" in text:
        return "check the certificate, and set TIDINGS_AMQP_CA_FILE if you have your own authority"
    return "start RabbitMQ, or set TIDINGS_AMQP_URL; `make run` starts one on this machine"


def _server(broker: Server) -> Iterator[Finding]:
    subject = "RabbitMQ: version"
    what = f"{broker.product} {broker.version}"
    if broker.release >= OLDEST:
        yield Finding(subject, Verdict.OK, what)
    else:
        yield Finding(
            subject, Verdict.FAULT, f"{what} is too old", "upgrade to RabbitMQ 3.10 or newer"
        )
    if lacking := CAPABILITIES - broker.capabilities:
        yield Finding(
            "RabbitMQ: capabilities",
            Verdict.FAULT,
            f"it lacks {', '.join(sorted(lacking))}",
            "connect to RabbitMQ itself: a proxy between it and Tidings must not remove them",
        )


def _topology(found: Sequence[Difference], topology: Topology) -> Iterator[Finding]:
    subject = "RabbitMQ: topology"
    missing = [difference for difference in found if difference.kind is Kind.MISSING]
    if missing:
        yield Finding(
            subject,
            Verdict.WARNING,
            f"{len(missing)} exchanges and queues are missing, e.g. {missing[0].name}",
            "run `tidings topology apply`, or start a worker, which declares them too",
        )
    others = [difference for difference in found if difference.kind is not Kind.MISSING]
    yield from _limited(others, Verdict.FAULT, subject)
    if not found:
        count = f"{len(topology.exchanges)} exchanges and {len(topology.queues)} queues"
        yield Finding(subject, Verdict.OK, f"{count} are correct")


def _remedy(kind: Kind) -> str:
    match kind:
        case Kind.DIFFERENT:
            return "let it run empty, delete it, then run `tidings topology apply`"
        case Kind.FORBIDDEN:
            return (
                "give the user permissions on names that start with tidings: "
                r"`rabbitmqctl set_permissions -p VHOST USER '^tidings\.' '^tidings\.' '^tidings\.'`"
            )
        case Kind.MISSING | Kind.UNBOUND:
            return "run `tidings topology apply`"
        case Kind.LEFTOVER:
            return "run `tidings topology prune` once every worker has the new policy"


async def _allowed(connection: AbstractConnection, timeout: float) -> Finding:
    subject = "RabbitMQ: permissions"
    try:
        seconds = await round_trip(connection, timeout)
    except ConfigurationError as error:
        return Finding(subject, Verdict.FAULT, str(error), _remedy(Kind.FORBIDDEN))
    except BrokerUnavailable as error:
        return Finding(
            subject,
            Verdict.FAULT,
            f"a test message did not come back: {error}",
            "check `rabbitmq-diagnostics alarms`: a memory or disk alarm blocks publishers",
        )
    return Finding(
        subject, Verdict.OK, f"declared, published and consumed in {seconds * 1000:.0f}ms"
    )


def _consumers(waiting: Sequence[Depth], channels: Sequence[str]) -> Iterator[Finding]:
    """Queues without the consumer that they need."""
    for channel in channels:
        lanes = [
            depth
            for depth in waiting
            if depth.queue.startswith(f"tidings.{channel}.") and ".retry." not in depth.queue
        ]
        yield from _consumed(lanes, f"tidings worker --channel {channel}")
    yield from _consumed([depth for depth in waiting if depth.queue == DEAD], "tidings archive")


def _consumed(queues: Sequence[Depth], command: str) -> Iterator[Finding]:
    unconsumed = [depth for depth in queues if not depth.consumers]
    if unconsumed:
        messages = sum(depth.messages or 0 for depth in unconsumed)
        yield Finding(
            "RabbitMQ: consumers",
            Verdict.WARNING,
            f"no consumer on {', '.join(depth.queue for depth in unconsumed)}; messages waiting: {messages:,}",
            f"start `{command}`",
        )


async def _management(
    management: Management, topology: Topology, *, complete: bool
) -> Sequence[Finding]:
    """Checks through the management API; bindings only if all queues exist."""
    try:
        flags = await management.feature_flags()
        found = list(unbound(topology, await management.bindings())) if complete else []
        left = [left_over(queue) for queue in leftovers(topology, await management.queues())]
    except BrokerUnavailable as error:
        return [
            Finding(
                MANAGEMENT,
                Verdict.WARNING,
                f"bindings and feature flags are not checked: {error}",
                "set TIDINGS_MANAGEMENT_URL, with a user that has the tag `monitoring`",
            )
        ]
    findings = [
        *_flags(flags),
        *_limited(found, Verdict.FAULT, MANAGEMENT),
        *_limited(left, Verdict.WARNING, MANAGEMENT),
    ]
    return findings or [Finding(MANAGEMENT, Verdict.OK, "bindings and feature flags are correct")]


def _flags(flags: Mapping[str, bool]) -> Iterator[Finding]:
    for flag in FLAGS:
        if not flags.get(flag, True):
            yield Finding(
                MANAGEMENT,
                Verdict.FAULT,
                f"the feature flag {flag} is off: messages can be lost on their way back from a retry",
                f"`rabbitmqctl enable_feature_flag {flag}`",
            )


def _limited(found: Sequence[Difference], verdict: Verdict, subject: str) -> Iterator[Finding]:
    """The first few; `tidings topology check` lists all."""
    for difference in found[:MOST_LISTED]:
        yield Finding(
            subject, verdict, f"{difference.name}: {difference.detail}", _remedy(difference.kind)
        )
    if (more := len(found) - MOST_LISTED) > 0:
        yield Finding(subject, verdict, f"and {more} more", "`tidings topology check` lists all")
