"""`tidings stats`: counts, success rates, latencies and queue depths."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tidings.cli.channels import table
from tidings.cli.console import end_as_unavailable, out, print_error, print_json
from tidings.cli.options import AsJson, Tenant, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.sentences import Sentence
from tidings.cli.show import STYLES
from tidings.delivery.delay import seconds
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.operations.backend import Backend
from tidings.operations.statistics import (
    RETRY_LATER,
    Backlog,
    Choice,
    Depth,
    Rates,
    Statistics,
    StatisticsRequest,
    StatisticsView,
    look,
)
from tidings.operations.times import NOTHING, exact, moment, share, span

TOTAL: Final = "all"
OF_WHAT: Final = (
    "Attempted: first attempts. Sent: share of finished. Retried: share of attempted. Attempts: of each attempted.\n"
    "p50, p95, p99: time from accepted, or due, to sent; without replays"
)


def stats(
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Ended since: 30m, 24h, 7d, or a time.")
    ] = "24h",
    tenant: Tenant = None,
    test: Annotated[
        bool, typer.Option("--test", help="Count tests, which are left out otherwise.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    every: Annotated[
        str, typer.Option(metavar="TIME", help="Refresh interval for --watch.")
    ] = "2s",
    as_json: AsJson = False,
) -> None:
    """Show outcomes, success rates, latencies and queue depths.

    Counts attempts and notifications that ended since then, to the minute (or 15 minutes and more, for longer periods).
    Sent is the share of finished notifications that were sent, without cancelled and suppressed ones. Retried is the share
    of attempted ones that needed a retry. p50, p95 and p99 are percentiles of the time from accepted (or due) to sent, without
    replays.

    Example: [bold]tidings stats --since 1h --watch[/]
    """
    parsed(moment, since, "--since")
    pause, choice = _pause(every), Choice(tenant, test=test)
    if watch:
        ask(lambda backend: _watch(backend, since, choice, pause))
        return
    view = ask(lambda backend: look(backend, _request(since, choice)))
    if as_json:
        print_json(view.as_data())
    else:
        out.print(render_statistics(view))
    if view.errors:
        for fault in view.errors:
            print_error(fault)
        end_as_unavailable()


def _pause(text: str) -> float:
    return max(0.2, parsed(seconds, text, "--every"))


def _request(since: str, choice: Choice) -> StatisticsRequest:
    return StatisticsRequest(moment(since), choice=choice)


async def _watch(backend: Backend, since: str, choice: Choice, pause: float) -> None:
    with Live(console=out, auto_refresh=False) as live:
        while True:
            view = await look(backend, _request(since, choice))
            frame = _frame(view, since)
            if out.is_terminal:
                live.update(frame, refresh=True)
            else:  # not a terminal: append
                out.print(frame)
            await asyncio.sleep(pause)


def _frame(view: StatisticsView, since: str) -> RenderableType:
    faults = (Sentence(Text(fault, style="red")) for fault in view.errors)
    now = Text(f"{exact(datetime.now(UTC))}, since {since}", style="dim")
    return Group(render_statistics(view), *faults, now)


def render_statistics(view: StatisticsView) -> RenderableType:
    """The statistics as tables."""
    parts: list[RenderableType] = []
    if view.not_delivering:
        parts += [table(view.not_delivering), ""]
    if view.statistics is not None:
        parts += [*_ledger(view.statistics), ""]
    if view.backlog is not None:
        parts += _backlog(view.backlog)
    if view.depths is not None:
        parts += _queues(view.depths, view.oldest)
    return Group(*parts)


def _ledger(known: Statistics) -> list[RenderableType]:
    since = exact(known.window.since)
    if not known.channels:
        return [Sentence(Text(f"No attempt or notification has ended since {since}."))]
    first = known.counted_since
    late = first is not None and first > known.window.since
    return [
        _rates(known),
        Sentence(Text(OF_WHAT, style="dim"), hanging=0),
        "",
        *([_providers(known), ""] if _several(known) else ()),
        _outcomes(known),
        *(
            [Sentence(Text(f"Counted since {exact(first)}.", style="dim"))]
            if first and late
            else ()
        ),
    ]


def _rates(known: Statistics) -> Rows:
    names = ("Channel", "Attempted", "Finished", "Sent", "Retried", "Attempts", "p50", "p95", "p99")
    groups = [*known.channels.items(), *([(TOTAL, known.total)] if len(known.channels) > 1 else [])]
    return Rows(names, [_rate(name, rates) for name, rates in groups], right=names[1:])


def _several(known: Statistics) -> bool:
    """Whether a channel had more than one provider."""
    return any(len(found) > 1 for found in known.providers.values())


def _providers(known: Statistics) -> Rows:
    names = ("Channel", "Provider", "Attempts", "Delivered", "p50", "p95", "p99")
    rows = [
        Row([cell(text) for text in (channel, name, *_of_attempts(rates))])
        for channel, found in known.providers.items()
        for name, rates in found.items()
    ]
    return Rows(names, rows, right=names[2:])


def _of_attempts(rates: Rates) -> Sequence[str]:
    times = (NOTHING if time is None else span(time) for time in (rates.p50, rates.p95, rates.p99))
    return (f"{rates.attempts:,}", share(rates.attempt_success_rate), *times)


def _rate(name: str, rates: Rates) -> Row:
    each = rates.attempts_each
    values = (
        name,
        f"{rates.attempted:,}",
        f"{rates.finished:,}",
        share(rates.success_rate),
        share(rates.retry_rate),
        NOTHING if each is None else f"{each:.2f}",
        *(NOTHING if time is None else span(time) for time in (rates.p50, rates.p95, rates.p99)),
    )
    return Row([cell(text) for text in values])


def _outcomes(known: Statistics) -> Rows:
    present = sorted(known.total.outcomes, key=_place)
    rows = [
        Row(
            [
                cell(name),
                *(
                    cell(f"{rates.outcomes.get(outcome, 0):,}", STYLES[_state(outcome)])
                    for outcome in present
                ),
            ]
        )
        for name, rates in known.channels.items()
    ]
    return Rows(("Channel", *present), rows, right=present)


def _state(outcome: str) -> State:
    """The state that an outcome leads to."""
    if outcome == RETRY_LATER:
        return State.RETRYING
    return Reason(outcome).state if outcome in set(Reason) else State(outcome)


def _place(outcome: str) -> tuple[int, str]:
    return list(State).index(_state(outcome)), outcome


def _backlog(backlog: Backlog) -> list[RenderableType]:
    """Open dead letters and scheduled notifications, whenever accepted."""
    parts: list[RenderableType] = []
    if backlog.open:
        parts += [_open_dead_letters(backlog), ""]
    if backlog.scheduled:
        overdue = f", {backlog.overdue:,} of them overdue: `tidings doctor`"
        text = f"{backlog.scheduled:,} scheduled{overdue if backlog.overdue else ''}"
        parts += [Sentence(Text(text, style="red" if backlog.overdue else "")), ""]
    return parts


def _open_dead_letters(backlog: Backlog) -> Rows:
    rows = [
        Row(
            [
                cell(channel or "?"),
                cell(f"{group.count:,}"),
                cell(span(group.oldest)),
                cell(reason, "red"),
            ]
        )
        for (channel, reason), group in backlog.open.items()
    ]
    return Rows(("Dead letters", "Open", "Oldest", "Reason"), rows, right=("Open", "Oldest"))


def _queues(waiting: Sequence[Depth], oldest: Mapping[str, float]) -> list[RenderableType]:
    """Queues that have messages or consumers, or are missing; the others are only counted."""
    quiet = [depth for depth in waiting if depth.messages == 0 and not depth.consumers]
    busy = [depth for depth in waiting if depth not in quiet]
    parts: list[RenderableType] = [_busy(busy, oldest)] if busy else []
    if quiet:
        text = f"{len(quiet)} {'other ' if busy else ''}queues are empty and unused"
        parts.append(Sentence(Text(text, style="dim")))
    return parts


def _busy(queues: Sequence[Depth], oldest: Mapping[str, float]) -> Rows:
    names = ("Queue", "Messages", "Oldest", "Consumers")
    rows = [_queue(depth, oldest.get(depth.queue)) for depth in queues]
    return Rows(names, rows, right=names[1:], reason="Purpose")


def _queue(depth: Depth, oldest: float | None) -> Row:
    """A row. An age is what it can be at most."""
    if depth.messages is None:
        cells = (cell(text, "red") for text in (depth.queue, "missing", NOTHING, NOTHING))
        return Row([*cells], "`tidings topology apply` creates it")
    messages = cell(f"{depth.messages:,}", "bold" if depth.messages else "")
    age = NOTHING if oldest is None else span(oldest)
    return Row([cell(depth.queue), messages, cell(age), cell(str(depth.consumers))], depth.purpose)
