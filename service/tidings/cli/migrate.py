"""`tidings migrate`: brings the database's tables to the version this Tidings needs."""

from tidings.cli.console import err, out, print_json, run
from tidings.cli.options import AsJson, actor
from tidings.operations.migrations import update
from tidings.settings import Settings


def migrate_(as_json: AsJson = False) -> None:
    """Create or update PostgreSQL's tables. Safe to run at every start, and from several places at once.

    Example: [bold]TIDINGS_DATABASE_URL=postgresql://tidings@db/tidings tidings migrate[/]
    """
    view = run(update(Settings(), actor(), _print_wait))
    if as_json:
        print_json(view)
    elif view.before == view.after:
        out.print(f"The tables are at version {view.after} already.")
    else:
        out.print(f"The tables went from version {view.before or 'none'} to {view.after}.")


def _print_wait() -> None:
    err.print("A table is in use: waiting a moment before the next try to lock it.")
