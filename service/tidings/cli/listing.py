"""`tidings list`: the notifications that match, newest first."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Table

from tidings.cli.console import err, print_json, run
from tidings.cli.options import AsJson, Reveal, open_ledger, paper, shown
from tidings.cli.show import STYLES
from tidings.cli.telling import ago, moment
from tidings.delivery.states import State
from tidings.ledger.reports import Filters
from tidings.ledger.stories import Summary
from tidings.settings import Settings

ROOMY: Final = 110
"""Columns from which on there is room for the reasons too."""


def list_(
    channel: Annotated[str | None, typer.Option("--channel", "-c", help="Of this channel.")] = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", "-s", help="In this state; may be given several times."),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Of this category.")] = None,
    user: Annotated[str | None, typer.Option(help="For this `user_id`.")] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="TYPE[:ID]", help="About this, e.g. order:10042.")
    ] = None,
    recipient: Annotated[
        str | None, typer.Option("--to", help="To this recipient, in full as it was published.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Accepted since then: 24h, 7d, or a time with offset."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Accepted before then, written alike.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 25,
    before: Annotated[
        UUID | None,
        typer.Option(metavar="ID", help="Older than this one: goes on where a page ended."),
    ] = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List notifications, newest first.

    Example: [bold]tidings list --channel email --state failed --since 24h[/]
    """
    type_, _, entity_id = (entity or "").partition(":")
    filters = Filters(
        channel=channel,
        states=tuple(state or ()),
        category=category,
        user_id=user,
        entity_type=type_ or None,
        entity_id=entity_id or None,
        recipient=recipient,
        since=moment(since) if since else None,
        until=moment(until) if until else None,
    )
    found = run(_find(filters, limit, before))
    if as_json:
        rows = (asdict(one) for one in found)
        print_json([{**row, "recipient": shown(row["recipient"], reveal=reveal)} for row in rows])
    elif not found:
        err.print("Nothing matches.")
    else:
        console = paper()
        console.print(_table(found, reveal=reveal, roomy=console.width >= ROOMY))
        if len(found) == limit:
            err.print(f"[dim]There may be more: --before {found[-1].id}, or a higher --limit.[/]")


async def _find(filters: Filters, limit: int, before: UUID | None) -> Sequence[Summary]:
    async with open_ledger(Settings()) as ledger:
        return await ledger.reports.list(filters, limit, before=before)


def _table(found: Sequence[Summary], *, reveal: bool, roomy: bool) -> Table:
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("ID", "Accepted", "Channel", "State"):
        table.add_column(name, no_wrap=True, min_width=36 if name == "ID" else None)
    if roomy:
        table.add_column("Tries", justify="right")
    table.add_column("To", overflow="ellipsis", no_wrap=True)
    if roomy:
        table.add_column("Why", overflow="ellipsis", no_wrap=True)
    for one in found:
        channel = f"{one.channel}.{one.priority}" if roomy else one.channel
        state = f"[{STYLES[one.state]}]{one.state}[/]"
        cells = [str(one.id), ago(one.accepted_at, now), channel, state]
        to = escape(shown(one.recipient, reveal=reveal))
        table.add_row(*cells, *([str(one.attempt), to, escape(_why(one))] if roomy else [to]))
    return table


def _why(one: Summary) -> str:
    """In a few words what went wrong, where something did."""
    if one.state in {State.SENT, State.DELIVERED, State.QUEUED, State.SCHEDULED}:
        return ""
    parts = (one.reason, one.failure_code, one.failure_message)
    return " · ".join(part for part in parts if part)
