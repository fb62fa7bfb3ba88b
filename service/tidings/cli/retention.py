"""`tidings retention`: shows and applies the retention periods."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_json
from tidings.cli.dead_letter_options import Yes
from tidings.cli.options import AsJson, actor, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import retention
from tidings.operations.retention import PartitionPreview, RetainedPartition, RetentionStep
from tidings.operations.times import counted

MIB = 1024 * 1024

app = Commands(
    help="Show retention periods, and delete notifications that are past them.",
    no_args_is_help=True,
)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the retention periods and the partitions of the ledger.

    Example: [bold]tidings retention show[/]
    """
    view = ask(retention.show)
    if as_json:
        print_json(view)
        return
    out.print(f"Finished notifications are kept {retention.in_words(view.period)}.")
    for state, period in view.by_state.items():
        out.print(f"Finished as {state}: kept {retention.in_words(period)}.")
    for tenant, own in view.by_tenant.items():
        for state, period in own.items():
            so = "" if state == "*" else f" as {state}"
            out.print(f"Tenant {tenant}, finished{so}: kept {retention.in_words(period)}.")
    read, unread = map(retention.in_words, (view.inbox_read, view.inbox_unread))
    out.print(f"Messages of inboxes, read: kept {read}.")
    out.print(f"Messages of inboxes, unread: kept {unread}.")
    out.print(_places(view.partitions))


@app.command()
def run(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Count what would be deleted, and delete nothing; reads the whole ledger.",
        ),
    ] = False,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Delete without pauses: for a disk that is nearly full. Sending is slower meanwhile.",
        ),
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete notifications past their retention period now.

    A scheduler does the same every hour. Unfinished notifications and those with an open dead letter stay. Shows the
    counts and asks first. Exit code 1, and nothing is deleted, if a running scheduler has different periods.

    Examples:
      [bold]tidings retention run --dry-run[/]
      [bold]tidings retention run[/]
      [bold]tidings retention run --fast[/]
    """
    if dry_run:
        partitions = ask(retention.preview)
        if as_json:
            print_json([partition.as_data() for partition in partitions])
        else:
            out.print(_preview(partitions))
        return
    if not yes:
        kept, partitions = ask(retention.prepare)
        err.print(_preview(partitions))
        many = _many(partitions)
        typer.confirm(
            f"Finished notifications are kept {kept}. Delete {many} permanently?",
            abort=True,
            err=True,
        )
    done = ask(lambda backend: retention.run(backend, actor(), fast=fast))
    if as_json:
        print_json(done)
    for partition in () if as_json else done:
        out.print(_done(partition))
    if not done and not as_json:
        out.print("Nothing done: a scheduler is deleting right now.")
        if fast:
            out.print(
                "It pauses between steps: stop the schedulers until this command is deleting."
            )


def _many(places: Sequence[PartitionPreview]) -> str:
    of_inboxes = sum(place.deleted for place in places if place.name == retention.INBOXES)
    others = sum(place.deleted for place in places) - of_inboxes
    more = f" and {counted(of_inboxes, 'message')} of inboxes" if of_inboxes else ""
    return f"{counted(others, 'notification')}{more}"


def _day(day: date | None, otherwise: str) -> str:
    return otherwise if day is None else day.isoformat()


def _places(places: Sequence[RetainedPartition]) -> Rows:
    names = ("Partition", "From", "Until", "MiB", "Drop date")
    return Rows(names, [_place(place) for place in places], right=("MiB",))


def _place(place: RetainedPartition) -> Row:
    drops = "row by row" if place.since is None else _day(place.drops_at, "never")
    cells = (
        place.name,
        _day(place.since, "–"),
        _day(place.until, "–"),
        f"{place.size / MIB:,.0f}",
        drops,
    )
    return Row([cell(text) for text in cells])


def _preview(places: Sequence[PartitionPreview]) -> Rows:
    names = ("Partition", "Stored", "Deleted", "Method")
    return Rows(names, [_preview_row(place) for place in places], right=("Stored", "Deleted"))


def _preview_row(place: PartitionPreview) -> Row:
    how = "drop partition" if place.dropped else "delete rows"
    return Row(
        [cell(text) for text in (place.name, f"{place.stored:,}", f"{place.deleted:,}", how)]
    )


def _done(step: RetentionStep) -> str:
    if step.deleted is None:
        return f"{step.partition}: dropped; {counted(step.moved, 'notification')} moved"
    return f"{step.partition}: {counted(step.deleted, 'row')} deleted"
