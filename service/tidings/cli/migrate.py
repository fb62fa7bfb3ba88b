"""`tidings migrate`: updates the tables to the version that this release needs."""

from typing import Annotated

import typer

from tidings.cli.console import err, out, print_json, run
from tidings.cli.options import AsJson, actor
from tidings.operations.migrations import update
from tidings.settings import Settings


def migrate_(
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Migrate even if processes run that can't work with the new tables."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create or update the tables in PostgreSQL.

    Safe to run at every start, and from several hosts at once.

    Example: [bold]TIDINGS_DATABASE_URL=postgresql://tidings@db/tidings tidings migrate[/]
    """
    view = run(update(Settings(), actor(), _print_wait, force=force))
    if as_json:
        print_json(view)
    elif view.before == view.after:
        out.print(f"The tables are already at version {view.after}.")
    else:
        out.print(f"Updated the tables from version {view.before or 'none'} to {view.after}.")


def _print_wait() -> None:
    err.print("A table is in use: waiting to lock it again …")
