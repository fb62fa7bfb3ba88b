"""Why a notification waits: its time, its channel, its providers or its lane."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tidings.broker.topology.layout import lane_queue, lanes_of, topology_of
from tidings.delivery.attempt import Lane
from tidings.delivery.errors import TidingsError
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger.notifications.details import NotificationSummary
from tidings.operations.backend import Backend
from tidings.operations.channels import (
    DISABLED,
    DOWN,
    PAUSED,
    SUSPENDED,
    UNSERVED,
    ChannelStatus,
    conditions,
)
from tidings.operations.masks import discreet
from tidings.operations.times import ago, distance
from tidings.settings import Settings

if TYPE_CHECKING:
    from tidings.broker.topology.inspection import Depth

UNKNOWN: Final = (
    "there is no such notification; one that still waits in its lane becomes known when a worker "
    "reads it (`tidings stats` shows the queues)"
)
PATIENCE: Final = 2.0
"""Seconds to look at the lanes: what is known without them is shown anyway."""


@dataclass(frozen=True, slots=True)
class WaitContext:
    """Status of channels, providers and lanes."""

    conditions: Sequence[ChannelStatus] = ()
    lanes: Mapping[str, "Depth"] = field(default_factory=dict)
    """By queue name; empty if RabbitMQ is unavailable."""


async def surroundings(backend: Backend, listed: Collection[NotificationSummary]) -> WaitContext:
    """The context for these notifications; empty if none of them waits in a lane."""
    queues = {_queue(notification) for notification in listed if notification.state is State.QUEUED}
    if not queues:
        return WaitContext()
    known, lanes = await asyncio.gather(conditions(backend), _lanes(backend.settings, queues))
    return WaitContext(known, lanes)


async def _lanes(settings: Settings, queues: Collection[str]) -> Mapping[str, "Depth"]:
    # Imported here: most notifications wait in no lane.
    from tidings.broker.topology.inspection import depths
    from tidings.broker.wire.session import connected

    topology = topology_of(settings)
    wanted = replace(
        topology, queues=tuple(queue for queue in topology.queues if queue.name in queues)
    )
    try:
        async with asyncio.timeout(PATIENCE), connected(settings.broker, "tidings") as connection:
            return {depth.queue: depth for depth in await depths(connection, wanted, PATIENCE)}
    except (TidingsError, TimeoutError):  # `tidings doctor` tells of it; here it only adds
        return {}


async def unknown(backend: Backend) -> str:
    """Why nothing is known of an id: what may hold it up."""
    waits = await what_waits(backend, datetime.now(UTC))
    unread = Reason.MALFORMED in await backend.ledger.reports.dead_letters_alone()
    unread_too = "; or its message can't be read: `tidings dead list --reason malformed`"
    return f"{UNKNOWN}: {waits}{unread_too if unread else ''}"


async def what_waits(backend: Backend, now: datetime) -> str:
    """What may hold up what no worker has read yet: channels that don't deliver, and what is in the lanes."""
    queues = {lane_queue(lane) for lane in lanes_of(topology_of(backend.settings))}
    known, lanes = await asyncio.gather(conditions(backend), _lanes(backend.settings, queues))
    return describe_backlog(WaitContext(known, lanes), now)


def describe_backlog(around: WaitContext, now: datetime) -> str:
    """The same in words: `email was paused 29s ago (cli jane@desk: moving); 2 messages wait: …`."""
    channels = [status for status in around.conditions if not status.provider]
    return "; ".join([*not_delivering(channels, now), _in_lanes(around.lanes.values())])


def not_delivering(channels: Sequence[ChannelStatus], now: datetime) -> list[str]:
    """Why some of these channels deliver nothing just now, in words."""
    paused = [status for status in channels if status.state == PAUSED]
    parts = [
        f"{status.channel} was paused{_when(status, now)} ({status.reason})" for status in paused
    ]
    for state, text in (
        (UNSERVED, "no worker runs for {}"),
        (SUSPENDED, "no provider of {} is available"),
    ):
        if named := [status.channel for status in channels if status.state == state]:
            parts.append(text.format(", ".join(named)))
    return parts


def _when(status: ChannelStatus, now: datetime) -> str:
    return f" {distance(status.since, now)}" if status.since else ""


def _in_lanes(lanes: Collection["Depth"]) -> str:
    if not lanes:
        return "RabbitMQ is unavailable, so the lanes can't be read"
    if missing := [lane.queue for lane in lanes if lane.messages is None]:
        return f"{len(missing)} lanes are missing: `tidings topology apply` makes them"
    waiting = [lane for lane in lanes if lane.messages]
    if not waiting:
        return "no message waits in a lane"
    total = sum(lane.messages or 0 for lane in waiting)
    each = ", ".join(f"{lane.messages:,} in {lane.queue}" for lane in waiting)
    return f"{total:,} {'messages wait' if total > 1 else 'message waits'}: {each}"


def why_it_waits(notification: NotificationSummary, around: WaitContext, now: datetime) -> str:
    """In a few words; empty for what does not wait."""
    match notification.state:
        case State.SCHEDULED:
            return (
                f"due {distance(notification.dispatch_at or notification.scheduled_at or now, now)}"
            )
        case State.QUEUED if (
            notification.scheduled_at is not None and notification.scheduled_at > now
        ):
            return f"due {distance(notification.scheduled_at, now)}"
        case State.QUEUED:
            return (
                _paused(notification, around, now)
                or _down(notification, around, now)
                or _in_lane(notification, around)
            )
        case _:
            return ""


def _paused(notification: NotificationSummary, around: WaitContext, now: datetime) -> str:
    for known in around.conditions:
        if known.channel == notification.channel and not known.provider and known.state == PAUSED:
            since = f" ({ago(known.since, now)})" if known.since else ""
            return f"{notification.channel} is {known.state}{since}{_told(known.reason)}"
    return ""


def _down(notification: NotificationSummary, around: WaitContext, now: datetime) -> str:
    """Where none of its providers is asked: the one that is asked again first."""
    providers = [
        it for it in around.conditions if it.channel == notification.channel and it.provider
    ]
    down = [it for it in providers if it.state in {DOWN, DISABLED}]
    if not down or len(down) < len(providers):
        return ""
    first = min(down, key=lambda it: it.probe_at.timestamp() if it.probe_at else float("inf"))
    again = f", next probe {ago(first.probe_at, now)}" if first.probe_at else ""
    return f"{notification.channel} {first.provider} is {first.state}{again}{_told(first.reason)}"


def _in_lane(notification: NotificationSummary, around: WaitContext) -> str:
    queue = _queue(notification)
    lane = around.lanes.get(queue)
    if lane is None:
        return "waiting for a worker"
    if lane.messages is None:
        return f"its lane {queue} is missing: `tidings topology apply` makes it"
    if not lane.consumers:
        return f"no worker runs for {queue}"
    if lane.messages:
        return f"waiting for a worker: {lane.messages:,} in {queue}"
    if notification.failure_message:
        return f"postponed, in a retry queue or its lane: {discreet(notification.failure_message)}"
    return "waiting for a worker"


def _told(why: str) -> str:
    return f": {why}" if why else ""


def _queue(notification: NotificationSummary) -> str:
    return lane_queue(Lane(notification.channel, notification.priority))
