"""`tidings stats`: how much, how well, how fast, and how much waits."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tidings.broker.inspection import Depth, depths
from tidings.broker.session import connected
from tidings.broker.topology import topology_of
from tidings.cli.conditions import DELIVERING, Condition, conditions, table
from tidings.cli.console import UNAVAILABLE, err, print_json, run
from tidings.cli.options import AsJson, open_ledger, paper
from tidings.cli.show import STYLES
from tidings.cli.telling import NOTHING, exact, moment, share, span
from tidings.delivery.delay import seconds
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable
from tidings.delivery.states import State
from tidings.ledger import Ledger
from tidings.ledger.statistics import Rates, Statistics
from tidings.settings import Settings

TOTAL: Final = "all"
ROOMY: Final = 100
"""Columns from which on there is room to say what each queue is for."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known at one moment; None where one of the two servers can't be asked."""

    statistics: Statistics | None
    depths: Sequence[Depth] | None
    trouble: Sequence[Condition]
    """Channels that are paused and providers that are not asked."""
    faults: tuple[str, ...]


def stats(
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Accepted since then: 30m, 24h, 7d, or a time.")
    ] = "24h",
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again and again, until Ctrl-C.")
    ] = False,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to look again.")] = "2s",
    as_json: AsJson = False,
) -> None:
    """Count notifications by channel and state, and the messages in every queue.

    Shares: of those that ended, how many were sent (cancelled and suppressed ones left out); of
    those tried, how many needed another attempt. Times are from accepted, or due, to sent.

    Example: [bold]tidings stats --since 1h --watch[/]
    """
    moment(since)
    settings = Settings()
    if watch:
        run(_watch(settings, since, _pause(every)))
        return
    picture = run(_look(settings, since))
    if as_json:
        print_json(as_data(picture))
    else:
        console = paper()
        console.print(told(picture, roomy=console.width >= ROOMY))
    if picture.faults:
        for fault in picture.faults:
            err.print(Text(fault, style="red"))
        raise typer.Exit(UNAVAILABLE)


def _pause(text: str) -> float:
    try:
        return max(0.2, seconds(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def _look(settings: Settings, since: str) -> Picture:
    async with open_ledger(settings) as ledger:
        return await _picture(settings, ledger, since)


async def _watch(settings: Settings, since: str, pause: float) -> None:
    console = paper()
    async with open_ledger(settings) as ledger:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                picture = await _picture(settings, ledger, since)
                frame = _frame(picture, since, roomy=console.width >= ROOMY)
                if console.is_terminal:
                    live.update(frame, refresh=True)
                else:  # a log of pictures, one below the other
                    console.print(frame)
                await asyncio.sleep(pause)


def _frame(picture: Picture, since: str, *, roomy: bool) -> RenderableType:
    faults = (Text(fault, style="red") for fault in picture.faults)
    now = Text(f"{exact(datetime.now(UTC))}, since {since}", style="dim")
    return Group(told(picture, roomy=roomy), *faults, now)


async def _picture(settings: Settings, ledger: Ledger, since: str) -> Picture:
    """Both servers at once; where one is away the other still tells."""
    told_, waiting, trouble = await asyncio.gather(
        ledger.reports.stats(moment(since)),
        _depths(settings),
        _trouble(settings, ledger),
        return_exceptions=True,
    )
    faults = [one for one in (told_, waiting, trouble) if isinstance(one, BaseException)]
    for fault in faults:
        if not isinstance(fault, BrokerUnavailable | LedgerUnavailable):
            raise fault
    return Picture(
        None if isinstance(told_, BaseException) else told_,
        None if isinstance(waiting, BaseException) else waiting,
        () if isinstance(trouble, BaseException) else trouble,
        tuple(dict.fromkeys(str(fault) for fault in faults)),
    )


async def _trouble(settings: Settings, ledger: Ledger) -> Sequence[Condition]:
    every = await conditions(settings, ledger)
    return [one for one in every if one.state != DELIVERING]


async def _depths(settings: Settings) -> Sequence[Depth]:
    async with connected(settings.broker, "tidings stats") as connection:
        return await depths(connection, topology_of(settings), settings.broker.amqp_timeout)


def as_data(picture: Picture) -> dict[str, Any]:
    """The picture for other programs."""
    known, waiting = picture.statistics, picture.depths
    return {
        "since": known.since if known else None,
        "total": _rates_as_data(known.total) if known else None,
        "channels": {
            name: {**_rates_as_data(rates), "states": dict(known.states.get(name, {}))}
            for name, rates in known.channels.items()
        }
        if known
        else None,
        "queues": None if waiting is None else [asdict(one) for one in waiting],
        "trouble": [asdict(one) for one in picture.trouble],
        "faults": picture.faults,
    }


def _rates_as_data(rates: Rates) -> dict[str, Any]:
    return {
        **asdict(rates),
        "success_rate": rates.success_rate,
        "retry_rate": rates.retry_rate,
    }


def told(picture: Picture, *, roomy: bool) -> RenderableType:
    """The picture for people."""
    parts: list[RenderableType] = []
    if picture.trouble:
        parts += [table(picture.trouble), ""]
    if picture.statistics is not None:
        parts += [*_ledger(picture.statistics), ""]
    if picture.depths is not None:
        parts += [_queues(picture.depths, roomy=roomy)]
    return Group(*parts)


def _ledger(known: Statistics) -> list[RenderableType]:
    if not known.channels:
        return [Text(f"Nothing was accepted since {exact(known.since)}.")]
    return [_rates(known), "", _states(known)]


def _rates(known: Statistics) -> Table:
    table = _plain("Channel", "Accepted", "Sent", "Retried", "Attempts", "p50", "p99")
    groups = [*known.channels.items(), *([(TOTAL, known.total)] if len(known.channels) > 1 else [])]
    for name, rates in groups:
        table.add_row(
            name,
            f"{rates.accepted:,}",
            share(rates.success_rate),
            share(rates.retry_rate),
            NOTHING if rates.attempts is None else f"{rates.attempts:.2f}",
            NOTHING if rates.p50 is None else span(rates.p50),
            NOTHING if rates.p99 is None else span(rates.p99),
        )
    return table


def _states(known: Statistics) -> Table:
    present = [state for state in State if any(state in counts for counts in known.states.values())]
    table = _plain("Channel")
    for state in present:
        table.add_column(state.value, justify="right", style=STYLES[state])
    for name, counts in known.states.items():
        table.add_row(name, *(f"{counts.get(state, 0):,}" for state in present))
    return table


def _queues(waiting: Sequence[Depth], *, roomy: bool) -> Table:
    """Those with something to tell: messages in them, consumers, or missing altogether."""
    table = _plain("Queue", "Messages", "Consumers", *([""] if roomy else []))
    quiet = [one for one in waiting if one.messages == 0 and not one.consumers]
    for one in waiting:
        if one not in quiet:
            table.add_row(*_queue(one)[: 4 if roomy else 3])
    if quiet:
        table.add_row(Text(f"and {len(quiet)} that are empty and unused", style="dim"))
    return table


def _queue(one: Depth) -> list[Text]:
    if one.messages is None:
        cells = (one.queue, "missing", NOTHING, "`tidings topology apply` makes it")
        return [Text(cell, style="red") for cell in cells]
    messages = Text(f"{one.messages:,}", style="bold" if one.messages else "")
    return [Text(one.queue), messages, Text(str(one.consumers)), Text(one.purpose, style="dim")]


def _plain(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    return table
