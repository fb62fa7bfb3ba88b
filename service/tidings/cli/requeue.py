"""`tidings requeue`: publishes notifications again whose message is lost."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from tidings.cli import dead_letter_options as which
from tidings.cli.console import FAULT, Unclear, err, out, print_json
from tidings.cli.options import DIGITS, AsJson, Tenant, actor, ask, id_prefix
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.states import State
from tidings.operations import requeues
from tidings.operations.requeues import RequeueRequest, RequeueView, Stranded
from tidings.operations.times import exact
from tidings.settings import Duration

SHOWN: Final = 20


def _late(text: str) -> float:
    try:
        return float(TypeAdapter(Duration).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(f"{text!r} is not a duration: write e.g. 15m or 2h") from None


def requeue(
    ids: Annotated[
        list[IdPrefix] | None,
        typer.Argument(
            parser=id_prefix,
            metavar="ID",
            help=f"Notification ids: in full, or {DIGITS}.",
        ),
    ] = None,
    channel: which.Channel = None,
    tenant: Tenant = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", "-s", help="Only in this state; repeatable."),
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="No filter: every overdue notification found. Searches the newest only, unless --full-scan; at most --limit.",
        ),
    ] = False,
    overdue: Annotated[
        float | None,
        typer.Option(
            "--overdue",
            parser=_late,
            metavar="15m",
            help="Only if overdue by this; default TIDINGS_REQUEUE_AFTER. Not with ids.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number to requeue.")
    ] = 10_000,
    full_scan: Annotated[
        bool,
        typer.Option(
            "--full-scan",
            help="Search all notifications; by default only the newest are searched, for a short time.",
        ),
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Note for their history.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be requeued, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Requeue notifications whose message is lost: by id, by filters, or --all.

    Use it after a queue or virtual host was purged or lost; the scheduler does the same later. It marks them; a running
    scheduler publishes them within seconds; without a scheduler nothing happens. It is safe if a message was not lost:
    the second copy is dropped. A failed notification without a dead letter gets one.

    Only notifications in PostgreSQL can be requeued. If no worker had read a message before it was lost, its producer
    must publish it again, with the same id; `tidings audit --journal FILE` finds such ids.

    Exit code 1 if a given id can't be requeued.

    Examples:
      [bold]tidings requeue 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --note "queue was purged"[/]
      [bold]tidings requeue --channel webhook --state retrying --overdue 1m --dry-run[/]
    """
    filtered = bool(channel or tenant or state or overdue is not None or every)
    if not (ids or filtered):
        raise Unclear("give ids, filters, or --all")
    if ids and filtered:
        raise Unclear("give ids or filters, not both")
    request = RequeueRequest(
        ids or (), tuple(state or ()), channel, tenant, overdue, limit, full_scan, note, dry_run
    )
    view = ask(lambda backend: requeues.requeue(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
    else:
        _print_result(view)
    if view.refused:
        raise typer.Exit(FAULT)


def _print_result(view: RequeueView) -> None:
    if not view.requeued:
        out.print("Nothing to requeue.")
    elif view.dry_run:
        out.print(f"Would requeue: {view.counts}.")
        if view.requeued:
            out.print(_table(view.requeued[:SHOWN]))
        if len(view.requeued) > SHOWN:
            out.print(f"… and {len(view.requeued) - SHOWN} more")
    else:
        out.print(f"Requeued: {view.counts}; a running scheduler publishes them within seconds.")
    for id_, refusal in view.refused.items():
        out.print(f"Not requeued: {id_}: {refusal}.")
    if view.searched_since is not None:
        searched = f"Searched only notifications accepted since {exact(view.searched_since)}."
        err.print(f"[dim]{searched} `--full-scan` searches all.[/]")


def _table(requeued: Sequence[Stranded]) -> Rows:
    return Rows(
        ("ID", "Channel", "State"),
        [
            Row(
                [
                    cell(str(notification.id)),
                    cell(notification.channel),
                    cell(notification.state.value),
                ]
            )
            for notification in requeued
        ],
    )
