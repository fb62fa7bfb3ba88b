"""Brings the database's tables to the version this code needs, with Alembic."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable, Refused
from tidings.ledger.connecting import connect
from tidings.ledger.database import AWAY, SETUP, explain
from tidings.ledger.encryption import place_of
from tidings.ledger.operators.processes import FRESH

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LATEST: Final = max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The version this code needs."""

PATIENCE: Final = 60.0
"""Seconds for which a lock is asked for."""
PAUSE: Final = 4.0
"""Seconds between, in which those work on who had to wait behind us."""
NOT_NOW: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)

HOLDERS: Final = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename, 'unknown') AS application, coalesce(a.state, 'active') AS state,
       coalesce(extract(epoch FROM now() - a.xact_start), 0)::int AS seconds
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
   AND EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                WHERE l.pid = a.pid AND l.granted AND c.relnamespace = current_schema()::regnamespace)
 ORDER BY a.xact_start LIMIT 3
"""
"""Whose transactions use the tables for the longest time."""

INCOMPATIBLE: Final = "0021"
"""It renames what processes of version 0.1 use."""
REGISTRY: Final = "0010"
"""It creates the table of processes."""
OLD_PROCESSES: Final = r"""
SELECT host || ':' || pid || ' (' || array_to_string(roles, ', ') || ', version ' || version || ')' AS process FROM processes
 WHERE ended_at IS NULL AND seen_at > now() - $1::float8 * interval '1 second' AND version ~ '^0\.1\.' ORDER BY process
"""


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Which version the tables have."""

    current: str | None
    """None where no migration has run."""
    needed: str

    @property
    def ok(self) -> bool:
        """Whether this code can work with these tables; newer ones are kept compatible."""
        return self.current is not None and self.current >= self.needed


async def migrate(
    database_url: str,
    *,
    patience: float = PATIENCE,
    waits: Callable[[], None] = lambda: None,
    force: bool = False,
) -> MigrationState:
    """Run the migrations that are missing; safe to run from several processes at once, and while everything runs.

    Args:
        patience: Seconds for which a lock is asked for again and again that another session does not give.
        waits: Called when a lock was not to be had, and is going to be asked for again.
        force: Also while processes run that can't work with the new tables.

    Raises:
        Refused: Such processes run; nothing was changed.
        LedgerUnavailable: PostgreSQL can't be reached, or a table stays locked. Migrations that were done stay.
        ConfigurationError: It refuses us.
    """
    state = await migration_state(database_url)
    if state.ok:
        return state  # Alembic doesn't know what a newer Tidings has done
    if not force and state.current is not None and REGISTRY <= state.current < INCOMPATIBLE:
        await _check_that_no_old_process_runs(database_url)
    given_up = time.monotonic() + patience
    with _our_errors(database_url):
        while not await asyncio.to_thread(_upgraded, database_url):
            if time.monotonic() + PAUSE > given_up:
                raise LedgerUnavailable(await _blocked(database_url, patience))
            waits()
            await asyncio.sleep(PAUSE)
    return await migration_state(database_url)


async def migration_state(database_url: str) -> MigrationState:
    """Which version the tables have. Raises like `migrate`."""
    with _our_errors(database_url):
        connection = await connect(database_url, timeout=10)
        try:
            known = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
            current = (
                await connection.fetchval("SELECT version_num FROM alembic_version")
                if known
                else None
            )
        finally:
            await connection.close()
    return MigrationState(current, LATEST)


async def _check_that_no_old_process_runs(database_url: str) -> None:
    with _our_errors(database_url):
        connection = await connect(database_url, timeout=10)
        try:
            old = [row["process"] for row in await connection.fetch(OLD_PROCESSES, FRESH)]
        finally:
            await connection.close()
    if old:
        raise Refused(
            f"{', '.join(old)} can't work with the new tables; stop all processes of this version, or use --force. "
            f"One that was killed counts as running for {FRESH:.0f}s. Nothing was changed"
        )


@contextmanager
def _our_errors(database_url: str) -> Iterator[None]:
    try:
        yield
    except SETUP as error:
        raise ConfigurationError(
            f"{place_of(database_url)} refuses the connection: {error}; {_remedy(error)}"
        ) from error
    except AWAY as error:
        raise LedgerUnavailable(
            f"{place_of(database_url)} can't be reached: {explain(error)}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(f"TIDINGS_DATABASE_URL is not a PostgreSQL URL: {error}") from None


def _remedy(error: Exception) -> str:
    match error:
        case asyncpg.InvalidCatalogNameError():
            return "create it, or name another in TIDINGS_DATABASE_URL"
        case asyncpg.InsufficientPrivilegeError():
            return "make its user the database's owner, or migrate as the owner"
        case _:
            return "correct TIDINGS_DATABASE_URL"


async def _blocked(database_url: str, patience: float) -> str:
    """Why a migration is given up, and what to do."""
    connection = await connect(database_url, timeout=10)
    try:
        holders = [
            "process {pid} ({application}, {state}, in a transaction for {seconds}s)".format_map(
                row
            )
            for row in await connection.fetch(HOLDERS)
        ]
    finally:
        await connection.close()
    state = await migration_state(database_url)
    return (
        f"{place_of(database_url)}: a table could not be locked within {patience:.0f}s; the tables are at version "
        f"{state.current}, and {state.needed} is needed. These use them for the longest time: "
        f"{', '.join(holders) or 'none any more'}. Wait for them, or end them with "
        "`SELECT pg_terminate_backend(PROCESS)`, and run `tidings migrate` again"
    )


def _upgraded(database_url: str) -> bool:
    """Run what is missing; False where a lock was not to be had, and the migration that wanted it left nothing."""
    try:
        upgrade(database_url)
    except NOT_NOW:
        return False
    return True


def upgrade(database_url: str, to: str = "head") -> None:
    """Run the migrations up to a version, each in its own transaction. Raises as asyncpg does."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    try:
        command.upgrade(config, to)
    except DBAPIError as error:
        driver = error.orig.__cause__ if error.orig is not None else None
        raise driver or error from None
