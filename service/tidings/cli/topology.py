"""`tidings topology`: shows, checks, creates and prunes the topology in RabbitMQ."""

import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import FAULT, err, fail, guarded, out, print_json, run
from tidings.cli.files import text_of, write_text
from tidings.cli.options import AsJson, actor
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import escape
from tidings.delivery.errors import TidingsError
from tidings.operations import topology
from tidings.operations.topology import Difference, Kind, Topology, topology_of
from tidings.settings import Settings

app = Commands(
    help="Show, check, apply (create what is missing) and prune exchanges, queues and bindings in RabbitMQ.",
    no_args_is_help=True,
)

MARKS: Final = {Kind.LEFTOVER: "[yellow]![/]"}


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the topology that the settings define; doesn't connect to RabbitMQ.

    Example: [bold]TIDINGS_EMAIL_RETRY="1m 5m" tidings topology show[/]
    """
    wanted = guarded(lambda: topology_of(Settings()))
    if as_json:
        print_json(wanted)
    else:
        out.print(_exchanges(wanted))
        out.print()
        out.print(_queues(wanted))


@app.command()
def check(as_json: AsJson = False) -> None:
    """Compare the topology in RabbitMQ with the settings.

    Changes nothing. Exit code 1 if they differ. Bindings and leftover queues are checked only through the management API
    (TIDINGS_MANAGEMENT_URL); a leftover queue is only a warning.

    Example: [bold]tidings topology check[/]
    """
    view = run(topology.compare(Settings()))
    found = view.differences
    if as_json:
        print_json(found)
    else:
        for difference in found:
            out.print(f"{MARKS.get(difference.kind, '[red]✗[/]')} {_line(difference)}")
        for advice in _advice({difference.kind for difference in found}):
            out.print(f"    [dim]→[/] {advice}")
        if not found:
            out.print("[green]✓[/] RabbitMQ matches the settings.")
    if view.unchecked:
        err.print(
            f"[yellow]![/] Bindings and leftover queues were not checked: {escape(view.unchecked)}"
        )
    if view.faulty:
        raise typer.Exit(FAULT)


@app.command()
def apply() -> None:
    """Create missing exchanges, queues and bindings.

    Existing ones are not changed; one with different arguments is an error.

    Example: [bold]tidings topology apply[/]
    """
    wanted = run(topology.apply(Settings(), actor()))
    out.print(
        f"[green]✓[/] {len(wanted.exchanges)} exchanges, {len(wanted.queues)} queues and "
        f"{len(wanted.bindings)} bindings are in place."
    )


@app.command()
def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the leftover queues, and delete nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete retry queues that no retry policy uses any more.

    Run it after every worker has the new policy. Each queue is unbound, watched for some seconds, and deleted only if it
    is empty and unused; otherwise it is bound again.

    Example: [bold]tidings topology prune --dry-run[/]
    """
    if dry_run:
        _print_leftovers(run(topology.list_leftovers(Settings())), as_json=as_json)
        return
    pruned = run(topology.prune(Settings(), actor(), _print_watch))
    if as_json:
        print_json(pruned)
        return
    for queue in pruned:
        kept = f"[yellow]![/] {queue.queue} was kept: {escape(queue.why)}"
        out.print(f"[green]✓[/] {queue.queue} was deleted" if queue.deleted else kept)
    if not pruned:
        out.print("No leftover retry queues.")


@app.command()
def definitions(
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with this file: exit code 1 if it differs."),
    ] = None,
) -> None:
    """Print the topology as a RabbitMQ definitions file, for RabbitMQ to load at start.

    Example: [bold]tidings topology definitions --write deploy/rabbitmq/definitions.json[/]
    """
    text = guarded(lambda: topology.definitions(Settings()))
    if write is not None:
        write_text("--write", write, text)
    if check is not None and (not check.exists() or text_of("--check", check) != text):
        fail(
            TidingsError(
                f"{check} differs from the settings: run `make schemas`; "
                "`tidings settings --changed` shows the settings of your environment"
            )
        )
    if write is None and check is None:
        sys.stdout.write(text)


def _print_watch(count: int) -> None:
    err.print(f"[dim]Watching {count} queues for {topology.STATISTICS_SETTLE:.0f}s …[/]")


def _print_leftovers(found: Sequence[Difference], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    for difference in found if not as_json else []:
        out.print(f"{MARKS[Kind.LEFTOVER]} {_line(difference)}")
    if not found and not as_json:
        out.print("No leftover retry queues.")


def _advice(kinds: Collection[Kind]) -> Iterator[str]:
    if Kind.MISSING in kinds or Kind.UNBOUND in kinds:
        yield "`tidings topology apply` creates what is missing"
    if Kind.DIFFERENT in kinds:
        yield "a queue with different arguments: drain it, delete it, then run `tidings topology apply`"
    if Kind.FORBIDDEN in kinds:
        yield "`tidings doctor` shows the missing permissions"
    if Kind.LEFTOVER in kinds:
        yield "`tidings topology prune` deletes leftover queues; run it after every worker has the new policy"


def _line(difference: Difference) -> str:
    return f"{escape(difference.name)}: {escape(difference.detail)}"


def _exchanges(wanted: Topology) -> Rows:
    return Rows(
        ("Exchange", "Type"),
        [
            Row([cell(exchange.name), cell(exchange.type)], _arguments(exchange.arguments))
            for exchange in wanted.exchanges
        ],
        reason="Arguments",
    )


def _queues(wanted: Topology) -> Rows:
    keys: dict[str, list[str]] = {}
    for binding in wanted.bindings:
        keys.setdefault(binding.queue, []).append(f"{binding.exchange} {binding.key}".strip())
    return Rows(
        ("Queue", "Bound to"),
        [
            Row([cell(queue.name), cell(", ".join(keys.get(queue.name, [])))], queue.purpose)
            for queue in wanted.queues
        ],
        reason="Purpose",
    )


def _arguments(arguments: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())
