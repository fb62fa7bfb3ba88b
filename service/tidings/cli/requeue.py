"""`tidings requeue`: publishes notifications again whose message is gone."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from tidings.cli import dead_letter_options as which
from tidings.cli.console import FAULT, Unclear, err, out, print_json
from tidings.cli.options import AsJson, Tenant, actor, ask, id_prefix
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
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
        raise typer.BadParameter(f"{text!r}: write it like 15m or 2h") from None


def requeue(
    ids: Annotated[
        list[IdPrefix] | None,
        typer.Argument(
            parser=id_prefix, metavar="ID", help=f"Ids, or at least their first {SHORTEST} digits."
        ),
    ] = None,
    channel: which.Channel = None,
    tenant: Tenant = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", "-s", help="In this state; may be given several times."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that waits too long.")] = False,
    overdue: Annotated[
        float | None,
        typer.Option(
            "--overdue",
            parser=_late,
            metavar="15m",
            help="Later than this; TIDINGS_REQUEUE_AFTER unless said otherwise. Not for ids.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 10_000,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Look through all notifications there are, not only for a moment among the newest.",
        ),
    ] = False,
    note: Annotated[
        str, typer.Option("--note", help="Kept in their history, with your name.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish notifications again whose message is gone: by id, by filters, or --all.

    For after a purge, or a lost queue or virtual host. The scheduler does the same
    by itself, later. In a large ledger the newest are looked through, for a moment,
    and it says how far; --whole looks through all. A message that was not gone after all does no harm: whichever
    comes second is recognised and dropped. What ended and has no dead letter gets one.

    Exits with 1 where one that was named could not be published again.

    Examples:
      [bold]tidings requeue 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --note "queue was purged"[/]
      [bold]tidings requeue --channel webhook --state retrying --overdue 1m --dry-run[/]
    """
    filtered = bool(channel or tenant or state or overdue is not None or every)
    if not (ids or filtered):
        raise Unclear("say which notifications: ids, filters, or --all")
    if ids and filtered:
        raise Unclear("give ids or filters, not both")
    request = RequeueRequest(
        ids or (), tuple(state or ()), channel, tenant, overdue, limit, whole, note, dry_run
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
        out.print("Nothing would be published again." if view.dry_run else "Nothing was requeued.")
    elif view.dry_run:
        out.print(f"Would be published again: {view.counts}.")
        if view.requeued:
            out.print(_table(view.requeued[:SHOWN]))
        if len(view.requeued) > SHOWN:
            out.print(f"… and {len(view.requeued) - SHOWN} more")
    else:
        out.print(f"Requeued: {view.counts}; the scheduler publishes them within seconds.")
    for id_, refusal in view.refused.items():
        out.print(f"Not {id_}: {refusal}.")
    if view.searched_since is not None:
        since = f"Looked through everything accepted since {exact(view.searched_since)}, and no further."
        err.print(f"[dim]{since} `--whole` looks through all.[/]")


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
