"""Channels and their providers: circuits, rates, orders to all workers, and the history of orders."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tidings.console import equivalents
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.operations import channels, statistics
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.channels import ChannelStatus, HistoryRequest, OrderRequest, OrderView
from tidings.operations.scopes import Scope
from tidings.operations.statistics import Rates, StatisticsRequest, StatisticsView

PERIOD: Final = "1h"
"""Of the rates."""
ORDERS: Final = 50
"""Orders of the history that are shown."""
MORE: Final = 500
NOTE: Final = "INC-812"
"""Stands in commands for the reason that a person gives."""

Order = Callable[[Backend, Actor, OrderRequest], Awaitable[OrderView]]


@dataclass(frozen=True, slots=True)
class ChannelCard:
    """A channel with its providers."""

    status: ChannelStatus
    providers: Sequence[ChannelStatus]
    rates: Rates | None
    cli: str
    curl: str


async def _list(visit: Visit) -> Html:
    since = datetime.now(UTC) - timedelta(hours=1)
    view = await statistics.look(visit.backend, StatisticsRequest(since, queues=False))
    every = visit.query("history") == "all"
    history = await channels.history(visit.backend, HistoryRequest(limit=MORE if every else ORDERS))
    return Html(
        "channels.html",
        {
            "cards": [_card(visit, it, view) for it in view.channels if not it.provider],
            "history": history,
            "more": len(history) == ORDERS and not every,
            "period": PERIOD,
        },
    )


def _card(visit: Visit, status: ChannelStatus, view: StatisticsView) -> ChannelCard:
    name, known = status.channel, view.statistics
    providers = [it for it in view.channels if it.channel == name and it.provider]
    verb = "resume" if status.state == channels.PAUSED else "pause"
    lines = [equivalents.command("channels", verb, name, note=NOTE)]
    calls = [equivalents.curl(visit, "POST", "/v1/channels/{}/" + verb, name, body={"note": NOTE})]
    for provider in providers:
        order = "disable" if provider.state == channels.DELIVERING else "enable"
        path = "/v1/channels/{}/providers/{}/" + order
        lines.append(equivalents.command("channels", order, name, provider.provider, note=NOTE))
        calls.append(
            equivalents.curl(visit, "POST", path, name, provider.provider, body={"note": NOTE})
        )
    return ChannelCard(
        status,
        providers,
        None if known is None else known.channels.get(name, Rates()),
        "\n".join(lines),
        "\n".join(calls),
    )


def _ordering(
    path: str, order: Order, done: str, before: str, *, stops: bool = False
) -> ConsolePage:
    """The form of one order; its note is kept in the history, and needed by one that stops something."""

    async def give(visit: Visit) -> SeeOther:
        note = visit.form.reason() if stops else visit.form.text("note")
        request = OrderRequest(visit.path["channel"], visit.path.get("provider"), note)
        try:
            view = await order(visit.backend, visit.actor, request)
        except InvalidRequest as error:  # the names are in the path
            raise NotFound(f"{error.field}: {error}") from None
        name = f"{view.channel} {view.provider}".rstrip()
        return SeeOther("/channels", f"{name} {done if view.changed else before}.")

    return ConsolePage("POST", path, give, Scope.OPERATE, all_tenants=True, live_only=True)


_PROVIDER: Final = "/channels/{channel}/providers/{provider}"
SOON: Final = "workers follow within about a second"

PAGES: Final = (
    ConsolePage("GET", "/channels", _list, all_tenants=True),
    _ordering(
        "/channels/{channel}/pause",
        channels.pause,
        f"is paused; {SOON}",
        "was paused already",
        stops=True,
    ),
    _ordering(
        "/channels/{channel}/resume", channels.resume, f"is resumed; {SOON}", "was not paused"
    ),
    _ordering(
        f"{_PROVIDER}/disable",
        channels.disable_provider,
        f"is disabled; {SOON}",
        "was disabled already",
        stops=True,
    ),
    _ordering(
        f"{_PROVIDER}/enable",
        channels.enable_provider,
        f"is enabled; {SOON}",
        "was enabled already",
    ),
)
