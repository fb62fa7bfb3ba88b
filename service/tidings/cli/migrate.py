"""`tidings migrate`: brings the database's tables to the version this Tidings needs."""

from tidings.cli.console import err, out, print_json, run
from tidings.cli.options import AsJson
from tidings.ledger.migrate import MigrationState, migrate, migration_state
from tidings.settings import Settings


def migrate_(as_json: AsJson = False) -> None:
    """Create or update PostgreSQL's tables. Safe to run at every start, and from several places at once.

    Example: [bold]TIDINGS_DATABASE_URL=postgresql://tidings@db/tidings tidings migrate[/]
    """
    before, after = run(_migrate())
    if as_json:
        print_json({"before": before.current, "after": after.current, "needed": after.needed})
    elif before.current == after.current:
        out.print(f"The tables are at version {after.current} already.")
    else:
        out.print(f"The tables went from version {before.current or 'none'} to {after.current}.")


async def _migrate() -> tuple[MigrationState, MigrationState]:
    url = Settings().ledger.database_url.get_secret_value()
    before = await migration_state(url)
    return before, before if before.ok else await migrate(url, waits=_say_that_it_waits)


def _say_that_it_waits() -> None:
    err.print("A table is in use: waiting a moment before the next try to lock it.")
