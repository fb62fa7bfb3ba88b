"""What `tidings doctor` says of RabbitMQ: each finding with what to do about it."""

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
"""Without `stream_queue` dead-lettering silently falls back to at most once."""

NAME: Final = "tidings doctor"
MANAGEMENT: Final = "RabbitMQ: management"
MOST_TOLD: Final = 4


async def diagnose(
    settings: BrokerSettings, topology: Topology, channels: Sequence[str]
) -> Sequence[Finding]:
    """Everything about RabbitMQ.

    Args:
        settings: Where it is.
        topology: What has to be in it.
        channels: Those that are configured and so need a worker.
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
            if complete := not any(one.kind is Kind.MISSING for one in found):
                findings += [await _allowed(connection, settings.amqp_timeout)]
                waiting = await depths(connection, topology, settings.amqp_timeout)
                findings += _consumers(waiting, channels)
    except BrokerUnavailable as error:
        findings.append(Finding("RabbitMQ", Verdict.FAULT, str(error), "look at its log"))
    management = await _management(Management.of(settings), topology, complete=complete)
    return [*findings, *management]


async def _address(url: str, settings: BrokerSettings) -> Finding:
    """Each URL by itself: the second is there for the day on which the first is not."""
    try:
        connection = await connect(url, settings, NAME)
    except (BrokerUnavailable, ConfigurationError) as error:
        return Finding("RabbitMQ", Verdict.FAULT, str(error), _why_no_connection(str(error), url))
    await connection.close()
    host = url.rpartition("@")[2].partition("?")[0]
    return Finding("RabbitMQ", Verdict.OK, f"{host} answers and lets us in")


def _why_no_connection(error: str, url: str) -> str:
    words = error.lower()
    if "access_refused" in words or "authentication" in words:
        return "check the user and the password in TIDINGS_AMQP_URL"
    if "virtual host" in words or "vhost" in words:
        vhost = vhost_of(url)
        return (
            f"create it: `rabbitmqctl add_vhost {vhost}`, then `rabbitmqctl set_permissions -p "
            f"{vhost} USER '.*' '.*' '.*'`; or name another at the end of TIDINGS_AMQP_URL"
        )
    if "certificate" in words or "ssl" in words:
        return "check the certificate, and TIDINGS_AMQP_CA_FILE where its authority is your own"
    return "start RabbitMQ, or set TIDINGS_AMQP_URL; `make run` starts one on this machine"


def _server(said: Server) -> Iterator[Finding]:
    subject = "RabbitMQ: version"
    what = f"{said.product} {said.version}"
    if said.release >= OLDEST:
        yield Finding(subject, Verdict.OK, what)
    else:
        yield Finding(
            subject, Verdict.FAULT, f"{what} is too old", "upgrade to RabbitMQ 3.10 or newer"
        )
    if lacking := CAPABILITIES - said.capabilities:
        yield Finding(
            "RabbitMQ: capabilities",
            Verdict.FAULT,
            f"it lacks {', '.join(sorted(lacking))}",
            "use RabbitMQ itself: nothing between it and Tidings may take these away",
        )


def _topology(found: Sequence[Difference], topology: Topology) -> Iterator[Finding]:
    subject = "RabbitMQ: topology"
    missing = [one for one in found if one.kind is Kind.MISSING]
    if missing:
        yield Finding(
            subject,
            Verdict.WARNING,
            f"{len(missing)} exchanges and queues are missing, {missing[0].name} for one",
            "run `tidings topology apply`, or start a worker: it makes them too",
        )
    others = [one for one in found if one.kind is not Kind.MISSING]
    yield from _limited(others, Verdict.FAULT, subject)
    if not found:
        count = f"{len(topology.exchanges)} exchanges and {len(topology.queues)} queues"
        yield Finding(subject, Verdict.OK, f"{count} are as they have to be")


def _mend(kind: Kind) -> str:
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
        return Finding(subject, Verdict.FAULT, str(error), _mend(Kind.FORBIDDEN))
    except BrokerUnavailable as error:
        return Finding(
            subject,
            Verdict.FAULT,
            f"a message that we published did not come back: {error}",
            "a memory or disk alarm stops publishers: `rabbitmq-diagnostics alarms` tells",
        )
    return Finding(
        subject, Verdict.OK, f"declared, published and consumed in {seconds * 1000:.0f}ms"
    )


def _consumers(waiting: Sequence[Depth], channels: Sequence[str]) -> Iterator[Finding]:
    """Queues that somebody has to consume and nobody does."""
    for channel in channels:
        lanes = [
            one
            for one in waiting
            if one.queue.startswith(f"tidings.{channel}.") and ".retry." not in one.queue
        ]
        yield from _consumed(lanes, f"tidings worker --channel {channel}")
    yield from _consumed([one for one in waiting if one.queue == DEAD], "tidings archive")


def _consumed(queues: Sequence[Depth], command: str) -> Iterator[Finding]:
    alone = [one for one in queues if not one.consumers]
    if alone:
        messages = sum(one.messages or 0 for one in alone)
        yield Finding(
            "RabbitMQ: consumers",
            Verdict.WARNING,
            f"nobody consumes {', '.join(one.queue for one in alone)}; messages waiting: {messages:,}",
            f"start `{command}`",
        )


async def _management(
    management: Management, topology: Topology, *, complete: bool
) -> Sequence[Finding]:
    """What only the management API tells; of bindings only where all queues are there."""
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
                "set TIDINGS_MANAGEMENT_URL, with a user who has the tag `monitoring`",
            )
        ]
    findings = [
        *_flags(flags),
        *_limited(found, Verdict.FAULT, MANAGEMENT),
        *_limited(left, Verdict.WARNING, MANAGEMENT),
    ]
    return findings or [Finding(MANAGEMENT, Verdict.OK, "bindings and feature flags are right")]


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
    """A few of them stand for all: `tidings topology check` lists every one."""
    for one in found[:MOST_TOLD]:
        yield Finding(subject, verdict, f"{one.name}: {one.detail}", _mend(one.kind))
    if (more := len(found) - MOST_TOLD) > 0:
        yield Finding(subject, verdict, f"and {more} more", "`tidings topology check` lists all")
