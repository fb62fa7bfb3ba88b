"""Statistics of a period from rollups, queue depths, and the backlog."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from tidings.broker.topology.inspection import Depth, depths
from tidings.broker.topology.layout import Topology, lanes_of, topology_of
from tidings.broker.wire.session import connected
from tidings.delivery.errors import BrokerUnavailable, InvalidRequest, LedgerUnavailable
from tidings.ledger.notifications.counting import RETRY_LATER
from tidings.ledger.operators.backlog import Backlog, count_backlog
from tidings.ledger.operators.rates import SUCCEEDED, WITHDRAWN, Rates
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import (
    EVERYTHING,
    ChannelRates,
    ChannelSeries,
    Choice,
    Statistics,
)
from tidings.operations.backend import Backend, DepthsAsOf
from tidings.operations.channels import DELIVERING, ChannelStatus, conditions
from tidings.operations.json_views import renamed
from tidings.settings import Settings

__all__ = [
    "RETRY_LATER",
    "SUCCEEDED",
    "WITHDRAWN",
    "Backlog",
    "ChannelRates",
    "ChannelSeries",
    "Choice",
    "Depth",
    "Rates",
    "Statistics",
    "StatisticsRequest",
    "StatisticsView",
    "Window",
    "look",
    "of_channels",
]

LONGEST: Final = timedelta(days=3_660)
"""A period may go back so far: its days are all in the reply."""
LAST_DEPTHS: Final = 30.0
"""Seconds for which depths are shown while RabbitMQ takes its time."""
RECENT_DEPTHS: Final = 10.0
"""Seconds for which depths are shown at once to those without patience."""
FRESH_DEPTHS: Final = 4.0
"""Seconds after which they are looked for again meanwhile, for those who come later."""
PAUSE: Final = 0.005
"""Seconds between two queues if nobody waits: a look at all costs as much as a page."""


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """What ended in a period."""

    since: datetime
    until: datetime | None = None
    """None: now."""
    choice: Choice = EVERYTHING
    """What is counted."""
    queues: bool = True
    """Show how many messages are in the queues, which have those of all tenants."""
    patience: float | None = None
    """Seconds that RabbitMQ has to tell; afterwards the depths are those of the last look. None: until it does."""
    age: float = 0.0
    """Seconds old that outcomes may be: then all who look at this period read them once. 0: they are read now."""
    details: bool = False
    """By time and channel and by category; percentiles of the whole and of categories only, and neither errors nor
    providers."""


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """Numbers at one moment; None if the server that has them is unavailable."""

    statistics: Statistics | None
    backlog: Backlog | None
    depths: Sequence[Depth] | None
    oldest: Mapping[str, float]
    """Seconds, by queue, that its oldest message has waited at most; what is not known is left out."""
    channels: Sequence[ChannelStatus]
    """Every channel, followed by its providers."""
    errors: tuple[str, ...]
    """Errors of servers that are unavailable."""
    as_of: datetime | None = None
    """When the statistics were read; None if they are not known."""
    depths_as_of: datetime | None = None
    """When RabbitMQ was asked what is in the queues; None if it is not known."""

    @property
    def not_delivering(self) -> Sequence[ChannelStatus]:
        """Channels and providers that are not delivering."""
        return [status for status in self.channels if status.state != DELIVERING]

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        known, backlog = self.statistics, self.backlog
        return {
            "since": known.window.since if known else None,
            "until": known.window.until if known else None,
            "bucket_seconds": known.window.width if known else None,
            "counted_since": known.counted_since if known else None,
            "total": _rates_as_data(known.total) if known else None,
            "channels": {name: _rates_as_data(rates) for name, rates in known.channels.items()}
            if known
            else None,
            "providers": {
                channel: {name: _rates_as_data(rates) for name, rates in providers.items()}
                for channel, providers in known.providers.items()
            }
            if known
            else None,
            "error_classes": dict(known.errors) if known else None,
            "buckets": [{"since": since, **_rates_as_data(rates)} for since, rates in known.buckets]
            if known
            else None,
            "dead_letters": None if backlog is None else _open_as_data(backlog),
            "scheduled_count": backlog.scheduled if backlog else None,
            "overdue_count": backlog.overdue if backlog else None,
            "oldest_due_seconds": backlog.oldest_due if backlog else None,
            "queues": None
            if self.depths is None
            else [
                {**renamed(depth, _QUEUE), "oldest_age_seconds": self.oldest.get(depth.queue)}
                for depth in self.depths
            ],
            "not_delivering": [status.as_data() for status in self.not_delivering],
            "server_errors": self.errors,
        }


_RATES: Final = {
    "attempts": "attempt_count",
    "p50": "p50_seconds",
    "p95": "p95_seconds",
    "p99": "p99_seconds",
}
_QUEUE: Final = {"messages": "message_count", "consumers": "consumer_count"}
"""Names in JSON."""


def _rates_as_data(rates: Rates) -> dict[str, Any]:
    return {
        **renamed(rates, _RATES),
        "outcomes": dict(rates.outcomes),
        "attempts_per_notification": rates.attempts_each,
        "success_rate": rates.success_rate,
        "failure_rate": rates.failure_rate,
        "retry_rate": rates.retry_rate,
        "attempt_success_rate": rates.attempt_success_rate,
    }


def _open_as_data(backlog: Backlog) -> list[dict[str, Any]]:
    """The open dead letters, whenever they were accepted."""
    return [
        {
            "channel": channel or None,
            "reason": reason,
            "count": dead_letters.count,
            "oldest_age_seconds": dead_letters.oldest,
        }
        for (channel, reason), dead_letters in backlog.open.items()
    ]


async def look(backend: Backend, request: StatisticsRequest) -> StatisticsView:
    """Query both servers at once; if one is unavailable, show the other's numbers.

    Raises:
        InvalidRequest: The period ends before it begins, or begins too long ago.
    """
    now = datetime.now(UTC)
    if request.since < now - LONGEST:
        raise InvalidRequest(f"it is more than {LONGEST.days:,} days ago", field="since")
    if (request.until or now) <= request.since:
        raise InvalidRequest("it must be before the end of the period", field="since")
    window = Window.around(request.since, request.until, now)
    topology = topology_of(backend.settings)

    def read() -> Coroutine[Any, Any, Statistics]:
        return backend.ledger.reports.stats(window, request.choice, details=request.details)

    numbers, waiting, queues, ages, channels = await asyncio.gather(
        backend.statistics.get((window, request.choice, request.details), request.age, read),
        count_backlog(backend.ledger.database, request.choice.tenant, test=request.choice.test),
        _recent_depths(backend, request.patience) if request.queues else _no_depths(),
        backend.ledger.queue_ages.oldest(lanes_of(topology)) if request.queues else _no_ages(),
        conditions(backend),
        return_exceptions=True,
    )
    results = (numbers, waiting, queues, ages, channels)
    errors = [result for result in results if isinstance(result, BaseException)]
    for fault in errors:
        if not isinstance(fault, BrokerUnavailable | LedgerUnavailable):
            raise fault
    known_depths = None if isinstance(queues, BaseException) else queues
    return StatisticsView(
        None if isinstance(numbers, BaseException) else numbers.statistics,
        None if isinstance(waiting, BaseException) else waiting,
        None if known_depths is None else known_depths.depths,
        {}
        if known_depths is None or isinstance(ages, BaseException)
        else _oldest(known_depths.depths, ages, topology),
        () if isinstance(channels, BaseException) else channels,
        tuple(dict.fromkeys(str(fault) for fault in errors)),
        None if isinstance(numbers, BaseException) else numbers.at,
        None if known_depths is None else known_depths.at,
    )


async def of_channels(backend: Backend, period: timedelta) -> ChannelRates:
    """How channels and providers fared lately, tests left out.

    Args:
        backend: The connections.
        period: How long to look back.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    now = datetime.now(UTC)
    return await backend.ledger.reports.channel_rates(Window.around(now - period, None, now))


def _oldest(
    found: Sequence[Depth], ages: Mapping[str, float], topology: Topology
) -> dict[str, float]:
    """The ages of the oldest messages, of queues that have any."""
    waits = {queue.name: queue.longest_wait for queue in topology.queues}
    known = {
        depth.queue: ages.get(depth.queue, waits.get(depth.queue))
        for depth in found
        if depth.messages
    }
    return {queue: age for queue, age in known.items() if age is not None}


async def _recent_depths(backend: Backend, patience: float | None) -> DepthsAsOf:
    def look(pause: float = 0.0) -> Coroutine[Any, Any, DepthsAsOf]:
        return _depths(backend.settings, pause)

    shared = backend.queue_depths
    if patience is None:
        return await shared.get(look)
    if (seen := shared.last(RECENT_DEPTHS)) is not None:
        if shared.last(FRESH_DEPTHS) is None:
            shared.begin(partial(look, PAUSE))
        return seen
    try:
        return await shared.recent(look, patience, LAST_DEPTHS)
    except TimeoutError:
        raise BrokerUnavailable("RabbitMQ has not told yet what is in the queues") from None


async def _no_depths() -> None:
    return None


async def _no_ages() -> Mapping[str, float]:
    return {}


async def _depths(settings: Settings, pause: float) -> DepthsAsOf:
    at = datetime.now(UTC)
    async with connected(settings.broker, "tidings stats") as connection:
        topology = topology_of(settings)
        found = await depths(connection, topology, settings.broker.amqp_timeout, pause)
    return DepthsAsOf(found, at)
