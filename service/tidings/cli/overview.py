"""`tidings overview`: is anything wrong?"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from tidings.cli.console import FAULT, end_as_unavailable, err, out, print_error, print_json
from tidings.cli.dead_letter_views import groups_table
from tidings.cli.options import AsJson, Tenant, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import overview as operation
from tidings.operations.attention import Attention, AttentionLevel
from tidings.operations.overview import OverviewView
from tidings.operations.statistics import Choice, StatisticsRequest
from tidings.operations.times import counted, moment, share, span

STYLES: Final = {AttentionLevel.FAULT: "red", AttentionLevel.WARNING: "yellow"}


def overview(
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Rates of what ended since: 30m, 24h, 7d, or a time."),
    ] = "1h",
    tenant: Tenant = None,
    test: Annotated[
        bool, typer.Option("--test", help="Look at tests, which are left out otherwise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show in one screen whether anything is wrong.

    First what needs attention, faults first; then rates, and the largest groups of dead letters.

    Exit code 1 if something is not delivered that should be, 3 if a server is unavailable.

    Example: [bold]tidings overview[/]
    """
    begin = parsed(moment, since, "--since")
    request = StatisticsRequest(
        begin, choice=Choice(tenant=tenant, test=test), queues=tenant is None, details=True
    )
    view = ask(lambda backend: operation.see(backend, request))
    if as_json:
        print_json(view)
    else:
        _print(view, since)
    if view.numbers.errors:
        for fault in view.numbers.errors:
            print_error(fault)
        end_as_unavailable()
    if any(each.level is AttentionLevel.FAULT for each in view.attention):
        raise typer.Exit(FAULT)


def _print(view: OverviewView, since: str) -> None:
    if view.attention:
        out.print(attention_table(view.attention))
    else:
        out.print("[green]Everything is delivering.[/]")
    if (known := view.numbers.statistics) is not None:
        total = known.total
        p95 = f", p95 {span(total.p95)}" if total.p95 is not None else ""
        out.print(
            f"Since {since}: {total.succeeded:,} sent ({share(total.success_rate)}), {total.failed:,} failed, "
            f"{counted(total.retried, 'notification')} retried{p95}."
        )
    if view.groups:
        out.print(groups_table(view.groups, datetime.now(UTC)))
    if view.searched_since is not None:
        reached = view.searched_since.isoformat()
        err.print(
            f"[dim]Counted only dead letters since {reached}; `tidings dead groups --test --until {reached}` counts older ones.[/]"
        )
    err.print(
        "[dim]`tidings stats` has rates and queues, `tidings channels list` the providers.[/]"
    )


def attention_table(found: Sequence[Attention]) -> Rows:
    """What needs attention, worst first."""
    rows = [Row([cell(each.level, STYLES[each.level])], each.text) for each in found]
    return Rows(("Level",), rows, reason="What")
