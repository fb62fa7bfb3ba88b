"""Brings the database's tables to the version this code needs, with Alembic."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.ledger.database import AWAY, SETUP
from tidings.ledger.encryption import address_of, trouble

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LATEST: Final = max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The version this code needs."""


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


async def migrate(database_url: str) -> MigrationState:
    """Run the migrations that are missing; safe to run from several processes at once.

    Raises:
        LedgerUnavailable: PostgreSQL can't be reached.
        ConfigurationError: It refuses us.
    """
    state = await migration_state(database_url)
    if state.ok:
        return state  # Alembic doesn't know what a newer Tidings has done
    with _our_errors():
        await asyncio.to_thread(_upgrade, database_url)
    return await migration_state(database_url)


async def migration_state(database_url: str) -> MigrationState:
    """Which version the tables have. Raises like `migrate`."""
    with _our_errors():
        address = address_of(database_url)
        connection = await asyncpg.connect(address.url, ssl=address.tls, timeout=10)
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


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except SETUP as error:
        raise ConfigurationError(f"PostgreSQL refuses us: {error}; {_remedy(error)}") from error
    except AWAY as error:
        raise LedgerUnavailable(
            f"PostgreSQL can't be reached: {trouble(error) or str(error) or type(error).__name__}"
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
            return "mend TIDINGS_DATABASE_URL"


def _upgrade(database_url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        driver = error.orig.__cause__ if error.orig is not None else None
        raise driver or error from None
