"""The first page: is anything wrong?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidings.console.charts import Plot, plot
from tidings.console.equivalents import command, curl
from tidings.console.page import ConsolePage, Html, Visit
from tidings.delivery.outcome import Reason
from tidings.operations import overview
from tidings.operations.attention import Attention, AttentionLevel, Concern
from tidings.operations.overview import OverviewView
from tidings.operations.statistics import (
    RETRY_LATER,
    SUCCEEDED,
    WITHDRAWN,
    ChannelSeries,
    Choice,
    Rates,
    Statistics,
    StatisticsRequest,
)

RANGES: Final = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
FIRST: Final = "1h"
LIVE: Final = {"1h": 5, "6h": 15}
"""Seconds until the page is looked at again; a longer range changes slowly."""
SLOWLY: Final = 60
AGES: Final = {"6h": 5.0, "24h": 10.0, "7d": 20.0, "30d": 30.0}
"""Seconds old that the outcomes of a longer range may be, at most half of the time until the page is looked at again."""
PATIENCE: Final = 0.04
"""Seconds that RabbitMQ has to tell what is in the queues; else the page shows what it told last."""
SOON: Final = 0.025
"""Seconds that everything has; else the page shows how it was a moment ago, and says so."""
LATE: Final = timedelta(seconds=1)
"""The age from which that is said."""
SENT: Final = ("sent", "delivered", "bounced")
"""States of notifications that a provider has accepted."""
FAILED: Final = ("failed", "expired", "unknown")
"""States of notifications that were not sent."""
LISTS: Final = {
    Concern.SERVER: "/health",
    Concern.CHANNEL: "/channels",
    Concern.QUEUE: "/channels",
    Concern.OVERDUE: "/notifications",
    Concern.SCHEDULE: "/schedules",
    Concern.SCHEDULER: "/schedules",
    Concern.TARGET: "/notifications",
}
"""The page behind each subject."""
COLOURS: Final = 6


@dataclass(frozen=True, slots=True)
class OutcomeLine:
    """A part of one of the numbers at the top, and where to look at what has become of it."""

    part_of: str
    name: str
    count: int
    words: str
    """Of the link."""
    path: str
    query: Mapping[str, Any]


async def _show(visit: Visit) -> Html:
    period = visit.query("range")
    period = period if period in RANGES else FIRST
    request = StatisticsRequest(
        datetime.now(UTC) - RANGES[period],
        choice=Choice(tenant=visit.tenant, test=visit.test),
        queues=visit.tenant is None,
        patience=PATIENCE,
        age=AGES.get(period, 0.0),
        details=True,
    )
    view = await overview.see_soon(visit.backend, request, SOON)
    known = view.numbers.statistics
    names = list(visit.backend.settings.channels)
    return Html(
        "overview.html",
        {
            "view": view,
            "range": period,
            "ranges": list(RANGES),
            "live": LIVE.get(period, SLOWLY),
            "aged": period in AGES,
            "late": datetime.now(UTC) - view.at >= LATE,
            "plots": [] if known is None else _plots(known, names),
            "places": {each: _place(each, period) for each in view.attention},
            "faults": sum(each.level is AttentionLevel.FAULT for each in view.attention),
            "queues": _queues(view),
            "cli": command("overview", since=period, tenant=visit.tenant, test=visit.test),
            "curl": curl(visit, "GET", "/v1/overview", since=period, test=visit.test),
            "behind": behind,
            "outcomes": [] if known is None else list(_outcomes(known.total, period)),
        },
    )


def _plots(known: Statistics, names: Sequence[str]) -> Sequence[Plot]:
    """Sent, failed and retried per minute, a line for each channel; of whole spans of time only."""
    window = known.window
    whole = int((datetime.now(UTC) - window.since).total_seconds() // window.width)
    numbers = {name: place % COLOURS + 1 for place, name in enumerate(names)}
    numbers |= {name: COLOURS for name in known.series if name not in numbers}

    def draw(title: str, counts: Callable[[ChannelSeries], Sequence[int]]) -> Plot:
        series = {
            name: [round(count * 60 / window.width, 3) for count in counts(found)[:whole]]
            for name, found in known.series.items()
        }
        return plot(title, "per minute", window.since, window.width, series, numbers)

    return [
        draw("Sent", lambda series: series.succeeded),
        draw("Failed", lambda series: series.failed),
        draw("Retried", lambda series: series.retried),
    ]


def _outcomes(total: Rates, period: str) -> Iterator[OutcomeLine]:
    """What ended in the period, by how: the parts add up to what was sent, what failed and what was retried."""
    for name, count in sorted(total.outcomes.items(), key=lambda each: -each[1]):
        if name in SUCCEEDED:
            query = {"state": SENT, "since": period}
            yield OutcomeLine("Sent", name, count, "now sent", "/notifications", query)
        elif name in set(Reason):
            query = {"reason": name, "since": period}
            yield OutcomeLine("Failed", name, count, "open dead letters", "/failures", query)
        elif name not in WITHDRAWN and name != RETRY_LATER:
            query = {"state": FAILED, "since": period}
            yield OutcomeLine("Failed", name, count, "now failed", "/notifications", query)
    if total.retried:
        query = {"state": "retrying"}
        yield OutcomeLine(
            "Retried", "first_attempt", total.retried, "now retrying", "/notifications", query
        )


def _place(item: Attention, period: str) -> tuple[str, Mapping[str, Any], *tuple[str, ...]]:
    """Where to look at what needs attention: a page, its query and parameters."""
    if item.subject is Concern.DEAD_LETTER:
        return "/failures/{fingerprint}", {}, item.name
    queries: Mapping[Concern, Mapping[str, Any]] = {
        Concern.OVERDUE: {"overdue": "true"},
        Concern.TARGET: {"category": item.name, "since": period},
    }
    return LISTS[item.subject], queries.get(item.subject, {})


def behind(queue: str) -> tuple[str, Mapping[str, Any]]:
    """Where the notifications are listed whose messages are in a queue: a page, and its query."""
    match queue.split("."):
        case [_, channel, "retry", _]:
            return "/notifications", {"channel": channel, "state": "retrying"}
        case [_, channel, priority]:
            return "/notifications", {"channel": channel, "priority": priority, "state": "queued"}
        case _:
            return "/failures", {}


def _queues(view: OverviewView) -> Mapping[str, Sequence[Any]]:
    """Queues that have messages, or are missing, in the order of the message's way; and how many are empty."""
    depths = view.numbers.depths or ()
    shown = [depth for depth in depths if depth.messages != 0]
    return {"shown": shown, "empty": [depth for depth in depths if depth.messages == 0]}


PAGES: Final = (ConsolePage("GET", "/", _show, in_outages=True),)
