"""Statistics of a period, queue depths, and the backlog."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tidings.broker.topology.inspection import Depth, depths
from tidings.broker.topology.layout import topology_of
from tidings.broker.wire.session import connected
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable
from tidings.ledger.operators.backlog import Backlog, count_backlog
from tidings.ledger.operators.statistics import MOST, Rates, Statistics
from tidings.operations.backend import Backend
from tidings.operations.channels import DELIVERING, ChannelStatus, conditions
from tidings.settings import Settings

__all__ = [
    "MOST",
    "Backlog",
    "Depth",
    "Rates",
    "Statistics",
    "StatisticsRequest",
    "StatisticsView",
    "look",
]


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """Numbers about notifications accepted since a time."""

    since: datetime
    tenant: str | None = None
    """Only of this one. Queues have messages of all."""
    full_scan: bool = False
    """Count all of them, not only the newest `MOST`."""


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """Numbers at one moment; None if the server that has them is unavailable."""

    statistics: Statistics | None
    backlog: Backlog | None
    depths: Sequence[Depth] | None
    not_delivering: Sequence[ChannelStatus]
    """Channels and providers that are not delivering."""
    errors: tuple[str, ...]
    """Errors of servers that are unavailable."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        known = self.statistics
        return {
            "since": known.since if known else None,
            "complete": known.complete if known else None,
            "total": _rates_as_data(known.total) if known else None,
            "channels": {
                name: {**_rates_as_data(rates), "states": dict(known.states.get(name, {}))}
                for name, rates in known.channels.items()
            }
            if known
            else None,
            "dead_letters": None if self.backlog is None else _open_as_data(self.backlog),
            "scheduled": self.backlog.scheduled if self.backlog else None,
            "overdue": self.backlog.overdue if self.backlog else None,
            "queues": None if self.depths is None else [asdict(depth) for depth in self.depths],
            "not_delivering": [asdict(status) for status in self.not_delivering],
            "errors": self.errors,
        }


def _rates_as_data(rates: Rates) -> dict[str, Any]:
    return {
        **asdict(rates),
        "success_rate": rates.success_rate,
        "retry_rate": rates.retry_rate,
    }


def _open_as_data(backlog: Backlog) -> list[dict[str, Any]]:
    """The open dead letters, whenever they were accepted."""
    return [
        {
            "channel": channel or None,
            "reason": reason,
            "open": dead_letters.count,
            "oldest_seconds": dead_letters.oldest,
        }
        for (channel, reason), dead_letters in backlog.open.items()
    ]


async def look(backend: Backend, request: StatisticsRequest) -> StatisticsView:
    """Query both servers at once; if one is unavailable, show the other's numbers."""
    numbers, waiting, queues, channels = await asyncio.gather(
        backend.ledger.reports.stats(
            request.since, tenant=request.tenant, full_scan=request.full_scan
        ),
        count_backlog(backend.ledger.database, request.tenant),
        _depths(backend.settings),
        conditions(backend),
        return_exceptions=True,
    )
    results = (numbers, waiting, queues, channels)
    errors = [result for result in results if isinstance(result, BaseException)]
    for fault in errors:
        if not isinstance(fault, BrokerUnavailable | LedgerUnavailable):
            raise fault
    return StatisticsView(
        None if isinstance(numbers, BaseException) else numbers,
        None if isinstance(waiting, BaseException) else waiting,
        None if isinstance(queues, BaseException) else queues,
        ()
        if isinstance(channels, BaseException)
        else [status for status in channels if status.state != DELIVERING],
        tuple(dict.fromkeys(str(fault) for fault in errors)),
    )


async def _depths(settings: Settings) -> Sequence[Depth]:
    async with connected(settings.broker, "tidings stats") as connection:
        return await depths(connection, topology_of(settings), settings.broker.amqp_timeout)
