"""How each channel and its providers fare: what operators ordered, and what workers find."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.markup import escape
from rich.table import Table

from tidings.channels.registry import LINES
from tidings.cli.telling import ago, span
from tidings.delivery.circuit import Phase
from tidings.delivery.orders import Order, pausing
from tidings.ledger import Ledger
from tidings.ledger.controls import KnownCircuit
from tidings.settings import Settings

DELIVERING: Final = "delivering"
PAUSED: Final = "paused"
HELD: Final = "held open"
DOWN: Final = "down"
RECOVERING: Final = "recovering"
STYLES: Final = {
    DELIVERING: "green",
    PAUSED: "yellow",
    HELD: "yellow",
    DOWN: "red",
    RECOVERING: "cyan",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Of one channel, or of one of its providers."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    state: str
    since: datetime | None = None
    why: str = ""
    workers: int = 0
    """How many found it so."""
    probe_at: datetime | None = None
    """When the next notification tries it."""


async def conditions(settings: Settings, ledger: Ledger) -> Sequence[Condition]:
    """Of every channel that is switched on here, or known to be in trouble."""
    orders, circuits = await ledger.controls.orders(), await ledger.controls.down()
    named = {*(one.channel for one in orders), *(one.channel for one in circuits)}
    names = [name for name, line in LINES.items() if line.configured(settings) or name in named]
    return [
        one
        for name in names
        for one in (_channel(name, orders), *_providers(settings, name, circuits))
    ]


def _channel(name: str, orders: Iterable[Order]) -> Condition:
    order = pausing(orders, name)
    if order is None:
        return Condition(name, "", DELIVERING)
    return Condition(name, "", PAUSED, order.at, f"{order.actor}: {order.reason}")


def _providers(
    settings: Settings, channel: str, circuits: Iterable[KnownCircuit]
) -> Iterator[Condition]:
    found = [one for one in circuits if one.channel == channel]
    for name in dict.fromkeys((*settings.providers(channel), *(one.provider for one in found))):
        told = [one for one in found if one.provider == name]
        yield _provider(channel, name, told) if told else Condition(channel, name, DELIVERING)


def _provider(channel: str, name: str, told: Sequence[KnownCircuit]) -> Condition:
    """As the worker has it that has known it for longest."""
    first = min(told, key=lambda one: one.since)
    probes = [one.probe_at for one in told if one.probe_at is not None]
    return Condition(
        channel,
        name,
        _state(first.phase),
        first.since,
        first.reason,
        len(told),
        min(probes, default=None),
    )


def _state(phase: Phase) -> str:
    match phase:
        case Phase.CLOSED:
            return DELIVERING
        case Phase.RAMPING:
            return RECOVERING
        case Phase.HELD:
            return HELD
        case Phase.OPEN | Phase.PROBING:
            return DOWN


def table(every: Sequence[Condition]) -> Table:
    """For people; a channel's only provider has no line of its own while all is well."""
    now = datetime.now(UTC)
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Channel", "Provider", "State", "Since"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("Why", overflow="fold")
    for one in every:
        state = f"[{STYLES[one.state]}]{one.state}[/]"
        since = ago(one.since, now) if one.since else ""
        shown.add_row(one.channel, one.provider, state, since, escape(_why(one, now)))
    return shown


def _why(one: Condition, now: datetime) -> str:
    parts = [one.why]
    if one.workers > 1:
        parts.append(f"found by {one.workers} workers")
    if one.probe_at is not None and one.state == DOWN:
        wait = (one.probe_at - now).total_seconds()
        parts.append(f"tried again in {span(wait)}" if wait > 0 else "being tried")
    return " · ".join(part for part in parts if part)
