"""`tidings outbox`: the outbox in a producer's own database."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from tidings.cli import outbox_entries
from tidings.cli.commands import Commands
from tidings.cli.console import err, guarded, out, print_json, print_text, run
from tidings.cli.options import AsJson
from tidings.cli.outbox_options import Dsn, Schema
from tidings.cli.roles import relay
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import producer_outbox
from tidings.operations.producer_outbox import ProducerOutbox, ProducerOutboxView
from tidings.operations.times import counted, span
from tidings.settings import Settings

app = Commands(
    help="The outbox in a producer's own database, and that of what was accepted while RabbitMQ was away.",
    no_args_is_help=True,
)
app.command()(relay)
app.command("list")(outbox_entries.list_)
app.command()(outbox_entries.retry)
app.command()(outbox_entries.mark_failed)
app.command()(outbox_entries.mark_pending)


@app.command()
def install(
    dsn: Dsn = None,
    schema: Schema = "public",
    no_notify: Annotated[
        bool,
        typer.Option(
            "--no-notify",
            help="Create no trigger that wakes relays at each commit: they look once in TIDINGS_OUTBOX_POLL.",
        ),
    ] = False,
    show: Annotated[
        bool,
        typer.Option("--print", help="Print the SQL, for your own migrations, and change nothing."),
    ] = False,
) -> None:
    """Create the table tidings_outbox in a producer's database, or what is missing of it.

    Safe to repeat. Run it as the owner of the schema.

    Examples:
      [bold]tidings outbox install --dsn postgresql://shop@db.example.com/shop[/]
      [bold]tidings outbox install --print > migrations/0042_tidings_outbox.sql[/]
    """
    if show:
        print_text(guarded(lambda: producer_outbox.sql(schema, notify=not no_notify)).rstrip())
        return
    settings = guarded(lambda: Settings().outbox)
    done = run(producer_outbox.install(settings, ProducerOutbox(dsn, schema), notify=not no_notify))
    how = "is there" if done.before is None else "was there already"
    out.print(f"The table {done.schema}.tidings_outbox {how}.")


@app.command()
def status(dsn: Dsn = None, schema: Schema = "public", as_json: AsJson = False) -> None:
    """Show what waits in a producer's outbox, and what failed and why.

    Example: [bold]tidings outbox status --dsn postgresql://shop@db.example.com/shop[/]
    """
    settings = guarded(lambda: Settings().outbox)
    view = run(producer_outbox.status(settings, ProducerOutbox(dsn, schema)))
    if as_json:
        print_json(view)
        return
    if not view.lanes:
        out.print("Nothing waits.")
    else:
        out.print(_lanes(view))
    if view.failed:
        out.print(_failed(view))
        err.print("[dim]Publish them again: `tidings outbox republish`[/]")


@app.command()
def republish(
    ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="Ids of failed notifications.")
    ] = None,
    dsn: Dsn = None,
    schema: Schema = "public",
    all_: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the rows, and change nothing.")
    ] = False,
) -> None:
    """Publish failed rows of a producer's outbox again.

    A row whose content is invalid fails again: correct its body first, with SQL.

    Example: [bold]tidings outbox republish --all --dsn postgresql://shop@db.example.com/shop[/]
    """
    if bool(ids) == all_:
        raise typer.BadParameter("give ids, or --all")
    settings = guarded(lambda: Settings().outbox)
    outbox = ProducerOutbox(dsn, schema)
    many = run(producer_outbox.republish(settings, outbox, ids or None, dry_run=dry_run))
    out.print(f"{counted(many, 'row')} {'would' if dry_run else 'will'} be published again.")
    if ids and many < len(ids):
        err.print(f"[dim]{len(ids) - many} of the ids are not those of failed rows.[/]")


def _lanes(view: ProducerOutboxView) -> Rows:
    rows = [
        Row(
            [
                cell(lane.lane),
                cell(f"{lane.pending:,}"),
                cell(f"{lane.retrying:,}"),
                cell(span(lane.oldest)),
            ]
        )
        for lane in view.lanes
    ]
    return Rows(("Lane", "Pending", "Refused", "Oldest"), rows, right=("Pending", "Refused"))


def _failed(view: ProducerOutboxView) -> Rows:
    rows: Sequence[Row] = [
        Row(
            [cell(f"{group.count:,}"), cell(span(group.oldest)), cell(str(group.sample))],
            group.reason,
        )
        for group in view.failed
    ]
    return Rows(("Failed", "Oldest", "Example"), rows, right=("Failed",))
