"""`tidings dead`: lists, shows, groups, annotates, edits and discards dead letters."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_json
from tidings.cli.dead_discard import discard
from tidings.cli.dead_edit import edit
from tidings.cli.dead_letter_views import dead_letter_details, dead_letters_table, groups_table
from tidings.cli.dead_note import note
from tidings.cli.dead_owner import owner
from tidings.cli.hints import print_next_page, print_no_match
from tidings.cli.next_steps import group_next_steps
from tidings.cli.options import AsJson, Cursor, Reveal, ask
from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.operations.dead_letters import lookup
from tidings.operations.dead_letters.lookup import DeadLetterListRequest
from tidings.operations.dead_letters.query import DeadLetterQuery

app = Commands(
    help="Inspect, edit and discard dead letters; `tidings replay` sends them again.",
    no_args_is_help=True,
)

app.command()(edit)
app.command()(discard)
app.command()(note)
app.command()(owner)

Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=10_000, help="Maximum number to list.")
]


@app.command("list")
@which.about_dead_letters(state=True)
def list_(
    query: DeadLetterQuery,
    limit: Limit = 25,
    cursor: Cursor = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List dead letters, newest first.

    Example: [bold]tidings dead list --channel email --reason rejected --since 24h[/]
    """
    request = DeadLetterListRequest(query, limit, reveal, cursor)
    page = ask(lambda backend: lookup.list_(backend, request))
    if as_json:
        print_json(page)
    elif not page.data:
        narrowed = cursor is not None or query.narrowed.states != OPEN
        _print_no_match(query, narrowed=narrowed)
    else:
        out.print(dead_letters_table(page.data, datetime.now(UTC)))
        print_next_page(page, then="; `tidings dead groups` counts them.")


@app.command()
@which.about_dead_letters(state=True, unless_given=(DeadLetterState.OPEN,))
def groups(
    query: DeadLetterQuery, limit: Limit = 25, cursor: Cursor = None, as_json: AsJson = False
) -> None:
    """Group dead letters by cause, most frequent first.

    Example: [bold]tidings dead groups --since 7d[/]
    """
    found = ask(lambda backend: lookup.groups(backend, query, limit, cursor))
    if as_json:
        print_json(found)
        return
    if found.data:
        out.print(groups_table(found.data, datetime.now(UTC)))
    elif found.searched_since is None:
        narrowed = cursor is not None or query.narrowed.states != (DeadLetterState.OPEN,)
        _print_no_match(query, narrowed=narrowed)
    if found.searched_since is not None:
        since = found.searched_since.isoformat()
        err.print(
            f"[dim]Counted only dead letters since {since}; --until {since} counts older ones.[/]"
        )
    if found.data:
        print_next_page(found)
        for way in group_next_steps([view.group.reason for view in found.data]):
            err.print(f"[dim]{way}[/]")


@app.command()
def show(
    id: which.DeadLetterId,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Write the unmasked body, byte for byte, to a file or pipe.",
        ),
    ] = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Show one dead letter with its headers and body.

    Examples:
      [bold]tidings dead show 1f0c52a6 --reveal[/]
      [bold]tidings dead show 1f0c52a6 --raw > message.json[/]
    """
    if raw:
        if sys.stdout.isatty():
            raise typer.BadParameter(
                "not on a terminal, because the body may contain control sequences: redirect it to a file "
                "(> message.json), or use --reveal",
                param_hint="--raw",
            )
        body = ask(lambda backend: lookup.raw(backend, id))
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    found = ask(lambda backend: lookup.show(backend, id, reveal=reveal))
    if as_json:
        print_json(found.as_data())
    else:
        out.print(dead_letter_details(found, datetime.now(UTC)))


def _print_no_match(query: DeadLetterQuery, *, narrowed: bool = False) -> None:
    """Print that nothing matches, or that no dead letter is open if no filter was given."""
    filtered = query.selects or narrowed
    otherwise = None if filtered else "No open dead letters."
    print_no_match(query.narrowed, otherwise=otherwise)
