"""Channels and their providers: circuits, rates, orders to all workers, and the history of orders."""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from tidings.console import equivalents
from tidings.console.page import ConsolePage, Html, SeeOther, Visit
from tidings.console.pages.overview import FAILED, SENT
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.operations import channels, statistics
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.channels import ChannelStatus, HistoryRequest, OrderRequest, OrderView
from tidings.operations.scopes import Scope
from tidings.operations.statistics import RETRY_LATER, ChannelRates, Rates
from tidings.operations.times import span

PERIOD: Final = timedelta(hours=1)
"""Of the rates."""
ORDERS: Final = 50
"""Orders of the history that are shown."""
MORE: Final = 500
NOTE: Final = "INC-812"
"""Stands in commands for the reason that a person gives."""

Order = Callable[[Backend, Actor, OrderRequest], Awaitable[OrderView]]


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """A provider: its circuit, and how it fares."""

    status: ChannelStatus | None
    """None: attempts name it, but it is not configured here."""
    recorded_as: str
    rates: Rates
    minutes: float
    """Of which these are the rates."""
    shared_with: Sequence[str] = ()
    """Providers whose attempts have the same name: the numbers are of all of them."""

    @property
    def name(self) -> str:
        """By which orders name it, or attempts do."""
        return self.status.provider if self.status else self.recorded_as

    def per_minute(self, count: int) -> str:
        """Of a count, the average of the period; never rounded down to nothing."""
        each = count / self.minutes
        return "<0.1" if 0 < each < 0.1 else f"{each:,.1f}".removesuffix(".0")

    @property
    def retried(self) -> int:
        """Attempts after which the notification waits for another one."""
        return self.rates.outcomes.get(RETRY_LATER, 0)


@dataclass(frozen=True, slots=True)
class ChannelCard:
    """A channel with its providers."""

    status: ChannelStatus
    providers: Sequence[ProviderLine]
    rates: Rates
    cli: str
    curl: str


async def _list(visit: Visit) -> Html:
    every = visit.query("history") == "all"
    known, rates, history = await gather(
        channels.conditions(visit.backend),
        statistics.of_channels(visit.backend, PERIOD),
        channels.history(visit.backend, HistoryRequest(limit=MORE if every else ORDERS)),
    )
    return Html(
        "channels.html",
        {
            "cards": [_card(visit, it, known, rates) for it in known if not it.provider],
            "history": history,
            "more": len(history) == ORDERS and not every,
            "period": span(PERIOD.total_seconds()),
            "sent_states": SENT,
            "failed_states": FAILED,
        },
    )


def _card(
    visit: Visit, status: ChannelStatus, known: Sequence[ChannelStatus], rates: ChannelRates
) -> ChannelCard:
    name = status.channel
    providers = [it for it in known if it.channel == name and it.provider]
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
        _lines(name, providers, rates),
        rates.channels.get(name, Rates()),
        "\n".join(lines),
        "\n".join(calls),
    )


def _lines(
    channel: str, providers: Sequence[ChannelStatus], known: ChannelRates
) -> Sequence[ProviderLine]:
    """Those that are configured or reported, then others that attempts of the period name."""
    found, minutes = known.providers.get(channel, {}), _minutes(known)
    names = {it.provider: it.recorded_as for it in providers}
    lines = [
        ProviderLine(
            it,
            it.recorded_as,
            found.get(it.recorded_as, Rates()),
            minutes,
            [
                other
                for other, name in names.items()
                if name == it.recorded_as != "" and other != it.provider
            ],
        )
        for it in providers
    ]
    others = [name for name in found if name not in names.values()]
    return [*lines, *(ProviderLine(None, name, found[name], minutes) for name in others)]


def _minutes(known: ChannelRates) -> float:
    until = min(known.window.until, datetime.now(UTC))
    return max(1.0, (until - known.window.since).total_seconds() / 60)


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
