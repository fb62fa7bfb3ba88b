"""`tidings stats`: how much, how well, how fast, and how much waits."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tidings.broker.topology.inspection import Depth, depths
from tidings.broker.topology.layout import topology_of
from tidings.broker.wire.session import connected
from tidings.cli.channels import table
from tidings.cli.console import end_as_unavailable, print_json, run, say_error
from tidings.cli.options import AsJson, open_ledger, paper, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.sentences import Sentence
from tidings.cli.show import STYLES
from tidings.delivery.delay import seconds
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable
from tidings.delivery.states import State
from tidings.ledger import Ledger
from tidings.ledger.operators.standing import Standing, standing
from tidings.ledger.operators.statistics import MOST, Rates, Statistics
from tidings.operations.backend import Backend
from tidings.operations.channels import DELIVERING, Condition, conditions
from tidings.operations.times import NOTHING, exact, moment, share, span
from tidings.settings import Settings

TOTAL: Final = "all"
OF_WHAT: Final = (
    "Sent: of those that ended. Retried: of those tried.\n"
    "p50, p99: from accepted, or due, to sent; without replays"
)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known at one moment; None where one of the two servers can't be asked."""

    statistics: Statistics | None
    standing: Standing | None
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
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help=f"Count all, not only the newest {MOST:,}; it may take minutes."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count notifications by channel and state, and the messages in every queue.

    Shares: of those that ended, how many were sent (cancelled and suppressed ones left out); of
    those tried, how many needed another attempt. p50 and p99: half, and 99 of 100, were sent in less
    time from accepted, or due; what was replayed is left out.

    Example: [bold]tidings stats --since 1h --watch[/]
    """
    parsed(moment, since, "--since")
    pause = _pause(every)
    settings = Settings()
    if watch:
        run(_watch(settings, since, pause, whole=whole))
        return
    picture = run(_look(settings, since, whole=whole))
    if as_json:
        print_json(as_data(picture))
    else:
        paper().print(told(picture))
    if picture.faults:
        for fault in picture.faults:
            say_error(fault)
        end_as_unavailable()


def _pause(text: str) -> float:
    return max(0.2, parsed(seconds, text, "--every"))


async def _look(settings: Settings, since: str, *, whole: bool) -> Picture:
    async with open_ledger(settings) as ledger:
        return await _picture(settings, ledger, since, whole=whole)


async def _watch(settings: Settings, since: str, pause: float, *, whole: bool) -> None:
    console = paper()
    async with open_ledger(settings) as ledger:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                picture = await _picture(settings, ledger, since, whole=whole)
                frame = _frame(picture, since)
                if console.is_terminal:
                    live.update(frame, refresh=True)
                else:  # a log of pictures, one below the other
                    console.print(frame)
                await asyncio.sleep(pause)


def _frame(picture: Picture, since: str) -> RenderableType:
    faults = (Sentence(Text(fault, style="red")) for fault in picture.faults)
    now = Text(f"{exact(datetime.now(UTC))}, since {since}", style="dim")
    return Group(told(picture), *faults, now)


async def _picture(
    settings: Settings, ledger: Ledger, since: str, *, whole: bool = False
) -> Picture:
    """Both servers at once; where one is away the other still tells."""
    told_, now, waiting, trouble = await asyncio.gather(
        ledger.reports.stats(moment(since), whole=whole),
        standing(ledger.database),
        _depths(settings),
        _trouble(settings, ledger),
        return_exceptions=True,
    )
    faults = [one for one in (told_, now, waiting, trouble) if isinstance(one, BaseException)]
    for fault in faults:
        if not isinstance(fault, BrokerUnavailable | LedgerUnavailable):
            raise fault
    return Picture(
        None if isinstance(told_, BaseException) else told_,
        None if isinstance(now, BaseException) else now,
        None if isinstance(waiting, BaseException) else waiting,
        () if isinstance(trouble, BaseException) else trouble,
        tuple(dict.fromkeys(str(fault) for fault in faults)),
    )


async def _trouble(settings: Settings, ledger: Ledger) -> Sequence[Condition]:
    every = await conditions(Backend(settings, ledger))
    return [one for one in every if one.state != DELIVERING]


async def _depths(settings: Settings) -> Sequence[Depth]:
    async with connected(settings.broker, "tidings stats") as connection:
        return await depths(connection, topology_of(settings), settings.broker.amqp_timeout)


def as_data(picture: Picture) -> dict[str, Any]:
    """The picture for other programs."""
    known, waiting = picture.statistics, picture.depths
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
        "dead_letters": None if picture.standing is None else _open_as_data(picture.standing),
        "scheduled": picture.standing.scheduled if picture.standing else None,
        "overdue": picture.standing.overdue if picture.standing else None,
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


def _open_as_data(standing: Standing) -> list[dict[str, Any]]:
    """The open dead letters, whenever they were accepted."""
    return [
        {
            "channel": channel or None,
            "reason": reason,
            "open": one.count,
            "oldest_seconds": one.oldest,
        }
        for (channel, reason), one in standing.open.items()
    ]


def told(picture: Picture) -> RenderableType:
    """The picture for people."""
    parts: list[RenderableType] = []
    if picture.trouble:
        parts += [table(picture.trouble), ""]
    if picture.statistics is not None:
        parts += [*_ledger(picture.statistics), ""]
    if picture.standing is not None:
        parts += _standing(picture.standing)
    if picture.depths is not None:
        parts += _queues(picture.depths)
    return Group(*parts)


def _ledger(known: Statistics) -> list[RenderableType]:
    if not known.channels:
        return [Sentence(Text(f"Nothing was accepted since {exact(known.since)}."))]
    bound = () if known.complete else (_bound(known),)
    return [
        _rates(known),
        Sentence(Text(OF_WHAT, style="dim"), hanging=0),
        "",
        _states(known),
        *bound,
    ]


def _bound(known: Statistics) -> Sentence:
    """That there was more, and how it is counted."""
    newest = f"Only the newest {known.total.accepted:,} are counted, accepted since {exact(known.since)}."
    return Sentence(Text(f"\n{newest} --whole counts all.", style="yellow"), hanging=0)


def _rates(known: Statistics) -> Rows:
    names = ("Channel", "Accepted", "Sent", "Retried", "Attempts", "p50", "p99")
    groups = [*known.channels.items(), *([(TOTAL, known.total)] if len(known.channels) > 1 else [])]
    return Rows(names, [_rate(name, rates) for name, rates in groups], right=names[1:])


def _rate(name: str, rates: Rates) -> Row:
    values = (
        name,
        f"{rates.accepted:,}",
        share(rates.success_rate),
        share(rates.retry_rate),
        NOTHING if rates.attempts is None else f"{rates.attempts:.2f}",
        NOTHING if rates.p50 is None else span(rates.p50),
        NOTHING if rates.p99 is None else span(rates.p99),
    )
    return Row([cell(one) for one in values])


def _states(known: Statistics) -> Rows:
    present = [state for state in State if any(state in counts for counts in known.states.values())]
    names = [state.value for state in present]
    rows = [
        Row([cell(name), *(cell(f"{counts.get(one, 0):,}", STYLES[one]) for one in present)])
        for name, counts in known.states.items()
    ]
    return Rows(("Channel", *names), rows, right=names)


def _standing(standing: Standing) -> list[RenderableType]:
    """What is open or waits now, whenever it was accepted."""
    parts: list[RenderableType] = []
    if standing.open:
        parts += [_open_letters(standing), ""]
    if standing.scheduled:
        overdue = f", {standing.overdue:,} of them overdue: `tidings doctor`"
        told = f"{standing.scheduled:,} scheduled{overdue if standing.overdue else ''}"
        parts += [Sentence(Text(told, style="red" if standing.overdue else "")), ""]
    return parts


def _open_letters(standing: Standing) -> Rows:
    rows = [
        Row(
            [
                cell(channel or "?"),
                cell(f"{one.count:,}"),
                cell(span(one.oldest)),
                cell(reason, "red"),
            ]
        )
        for (channel, reason), one in standing.open.items()
    ]
    return Rows(("Dead letters", "Open", "Oldest", "Reason"), rows, right=("Open", "Oldest"))


def _queues(waiting: Sequence[Depth]) -> list[RenderableType]:
    """Those with something to tell: messages in them, consumers, or missing altogether."""
    quiet = [one for one in waiting if one.messages == 0 and not one.consumers]
    busy = [one for one in waiting if one not in quiet]
    parts: list[RenderableType] = [_busy(busy)] if busy else []
    if quiet:
        told = f"{'and ' if busy else ''}{len(quiet)} that are empty and unused"
        parts.append(Sentence(Text(told, style="dim")))
    return parts


def _busy(queues: Sequence[Depth]) -> Rows:
    names = ("Queue", "Messages", "Consumers")
    return Rows(names, [_queue(one) for one in queues], right=names[1:], reason="Purpose")


def _queue(one: Depth) -> Row:
    if one.messages is None:
        cells = (cell(text, "red") for text in (one.queue, "missing", NOTHING))
        return Row([*cells], "`tidings topology apply` makes it")
    messages = cell(f"{one.messages:,}", "bold" if one.messages else "")
    return Row([cell(one.queue), messages, cell(str(one.consumers))], one.purpose)
